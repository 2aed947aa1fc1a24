package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
)

// origins says where each key's value comes from, by path: "config.toml:12", "TICKCAST_SERVER_LOOPS", "-listen". A key
// that is not in it has its default. A class of topics has one as well, by its path: where it begins.
type origins map[string]string

// A keyError is what is wrong with one key's value.
type keyError struct {
	key   string // path
	of    string // the name of its class of topics; "" = it is not in one
	where string // its origin; "" = its default, or not known
	err   error
}

func (e *keyError) Error() string {
	text := e.key
	if e.of != "" {
		text = topicTable + "." + key{path: e.key}.name() + " of " + e.of
	}
	if e.where != "" {
		text = e.where + ": " + text
	}
	return text + ": " + e.err.Error()
}

func (e *keyError) Unwrap() error { return e.err }

// overrides are the keys that have a flag.
type overrides struct {
	listen []string // nil = not given
	demo   bool
}

// load returns the configuration from the file, unless its name is empty, then the environment, then the flags, each
// over the one before, and where each value comes from. The error joins everything that is wrong, from unknown keys to
// values out of range.
func load(file string, environ []string, flags overrides) (*Config, origins, error) {
	c, from := Default(), origins{}
	var inFile error
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, fmt.Errorf("config file: %w", err)
		}
		inFile = applyTOML(c, from, file, data)
	}
	inEnv := applyEnv(c, from, environ)
	if flags.listen != nil {
		c.Server.Listen, from["server.listen"] = flags.listen, "-listen"
	}
	if flags.demo {
		c.Demo.Enabled, from["demo.enabled"] = true, "-demo"
	}
	unread := errors.Join(inFile, inEnv)
	if err := errors.Join(unread, locate(c.Validate(), from, unread)); err != nil {
		return nil, nil, err
	}
	return c, from, nil
}

// locate returns the problems that Validate found with the origin of each key, or of its class of topics, but not those
// of keys in unread: these still have an earlier value, which says nothing about the one that was meant.
func locate(problems error, from origins, unread error) error {
	skip := map[string]bool{}
	for _, err := range flatten(nil, unread) {
		var k *keyError
		if errors.As(err, &k) {
			skip[k.key] = true
		}
	}
	var located []error
	for _, err := range flatten(nil, problems) {
		var k *keyError
		if errors.As(err, &k) {
			if skip[k.key] {
				continue
			}
			k.where = cmp.Or(from[k.key], from[key{path: k.key}.section()])
		}
		located = append(located, err)
	}
	return errors.Join(located...)
}
