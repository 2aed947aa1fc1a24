package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"tickcast/cmd/message"
)

// serviceLink matches the variables that Kubernetes sets in a container for each neighbouring service; see doc.go. A variable
// ..._PORT is one of them only if its value is a URL.
var serviceLink = regexp.MustCompile(`^[A-Z0-9_]+(` +
	`_SERVICE_HOST=|` +
	`_SERVICE_PORT(_[A-Z0-9_]+)?=|` +
	`_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=|` +
	`_PORT=(tcp|udp|sctp)://)`)

// applyEnv sets the keys of c whose TICKCAST_ variables are in environ, which holds "NAME=value" as [os.Environ] returns it. The
// error joins all problems: unknown variables and values of a wrong type.
func applyEnv(c *Config, environ []string) error {
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
			c.from[k.path] = name
			if err := k.assignText(value); err != nil {
				problems = append(problems, &keyError{key: k.path, where: name, err: err})
			}
		case !serviceLink.MatchString(variable):
			hint := didYouMean(name, names)
			if strings.HasPrefix(name, key{path: classTable}.env()) {
				hint = "classes of topics are only in the file: [[topic]]"
			}
			problems = append(problems, message.WithHint(fmt.Errorf("unknown environment variable %s", name), hint))
		}
	}
	return errors.Join(problems...)
}
