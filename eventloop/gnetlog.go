package eventloop

import (
	"fmt"
	"strings"
)

// gnetLogger hands gnet's log lines on. gnet tells of a failed accept only here.
type gnetLogger struct{ engine *Engine }

func (g gnetLogger) Debugf(format string, args ...any) { g.engine.log.Debug(line(format, args)) }

// Infof is one level lower: gnet says there what the operator has been told better.
func (g gnetLogger) Infof(format string, args ...any) { g.engine.log.Debug(line(format, args)) }

func (g gnetLogger) Warnf(format string, args ...any) { g.engine.log.Warn(line(format, args)) }

func (g gnetLogger) Errorf(format string, args ...any) {
	if strings.HasPrefix(format, "Accept() failed") {
		g.engine.acceptFailed(format, args...)
		return
	}
	g.engine.log.Error(line(format, args))
}

// Fatalf must not end the process: Run returns the error.
func (g gnetLogger) Fatalf(format string, args ...any) { g.engine.log.Error(line(format, args)) }

func line(format string, args []any) string { return "gnet: " + fmt.Sprintf(format, args...) }
