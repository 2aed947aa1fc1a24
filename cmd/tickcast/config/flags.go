package config

import (
	"errors"
	"flag"
)

// Flags are the values of the keys that have a flag.
type Flags struct {
	listen []string // nil = not given
	demo   bool
}

// Define defines -listen and -demo in fs. They set f when fs is parsed.
func (f *Flags) Define(fs *flag.FlagSet) {
	fs.BoolVar(&f.demo, "demo", false, "")
	fs.Func("listen", "", func(s string) error {
		f.listen = append(f.listen, splitList(s)...)
		if len(f.listen) == 0 {
			return errors.New("no address")
		}
		return nil
	})
}

// apply sets in c the keys whose flags were given.
func (f *Flags) apply(c *Config) {
	if f.listen != nil {
		c.Server.Listen, c.from["server.listen"] = f.listen, "-listen"
	}
	if f.demo {
		c.Demo.Enabled, c.from["demo.enabled"] = true, "-demo"
	}
}
