package eventloop

import (
	"fmt"
	"strings"
)

// A gnetLogger writes gnet's log lines to the engine's log. gnet reports a failed accept only here.
type gnetLogger struct{ engine *Engine }

func (g gnetLogger) Debugf(format string, args ...any) { g.engine.log.Debug(gnetLine(format, args)) }

// Infof logs one level lower: the engine's own lines tell the operator the same, and better.
func (g gnetLogger) Infof(format string, args ...any) { g.engine.log.Debug(gnetLine(format, args)) }

func (g gnetLogger) Warnf(format string, args ...any) { g.engine.log.Warn(gnetLine(format, args)) }

func (g gnetLogger) Errorf(format string, args ...any) {
	if strings.HasPrefix(format, "Accept() failed") {
		g.engine.acceptFailed(format, args...)
		return
	}
	g.engine.log.Error(gnetLine(format, args))
}

// Fatalf must not end the process: Run returns the error.
func (g gnetLogger) Fatalf(format string, args ...any) { g.engine.log.Error(gnetLine(format, args)) }

func gnetLine(format string, args []any) string { return "gnet: " + fmt.Sprintf(format, args...) }
