package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"tickcast/cmd/message"
)

// Load returns the configuration: the defaults, replaced by the file unless its name is empty, replaced by the environment,
// replaced by the flags. environ holds "NAME=value", as [os.Environ] returns it. The error joins all problems, from unknown
// keys to values out of range; [message.Report] writes a line for each, and its hint.
func Load(file string, environ []string, flags Flags) (*Config, error) {
	c := defaults()
	var inFile error
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("config file: %w", err)
		}
		inFile = applyTOML(c, file, data)
	}
	unread := errors.Join(inFile, applyEnv(c, environ))
	flags.apply(c)
	if err := errors.Join(unread, locate(c.validate(), c.from, unread)); err != nil {
		return nil, err
	}
	return c, nil
}

// locate adds to the problems that validate found the origin of each key, or of its class of topics. It leaves out the keys
// in unread: their value is an earlier one, not the one in the file or the environment.
func locate(problems error, from origins, unread error) error {
	skip := map[string]bool{}
	for _, err := range message.Split(unread) {
		var k *keyError
		if errors.As(err, &k) {
			skip[k.key] = true
		}
	}
	var located []error
	for _, err := range message.Split(problems) {
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
