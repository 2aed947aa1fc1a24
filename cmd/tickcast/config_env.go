package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// serviceLink matches the variables that Kubernetes sets in a container for each neighbouring service; see doc.go. A bare
// ..._PORT is only theirs if its value is a URL.
var serviceLink = regexp.MustCompile(`^[A-Z0-9_]+(` +
	`_SERVICE_HOST=|` +
	`_SERVICE_PORT(_[A-Z0-9_]+)?=|` +
	`_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=|` +
	`_PORT=(tcp|udp|sctp)://)`)

// applyEnv sets in c what the TICKCAST_ variables in environ say ("NAME=value", as [os.Environ] returns them) and notes in
// from which keys that were. It returns all problems joined: unknown variables and values that do not fit.
func applyEnv(c *Config, from origins, environ []string) error {
	byName := map[string]key{}
	var names []string
	for _, k := range c.keys() {
		byName[k.env()] = k
		names = append(names, k.env())
	}
	var problems []error
	for _, variable := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		k, ok := byName[name]
		switch {
		case ok:
			from[k.path] = name
			if err := k.assignText(value); err != nil {
				problems = append(problems, &keyError{key: k.path, where: name, err: err})
			}
		case !serviceLink.MatchString(variable):
			hint := didYouMean(name, names)
			if strings.HasPrefix(name, key{path: topicTable}.env()) {
				hint = "classes of topics are only in the file: [[topic]]"
			}
			problems = append(problems, withHint(fmt.Errorf("unknown environment variable %s", name), hint))
		}
	}
	return errors.Join(problems...)
}
