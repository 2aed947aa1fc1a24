package config

import (
	"errors"
	"fmt"

	"tickcast/broadcast/auth"
)

// LoadKeys reads the files of keys. The error names the key of the configuration.
func (c *Auth) LoadKeys() (keys []auth.Key, err error) {
	for _, name := range c.Keys {
		content, err := readFile(name)
		if err != nil {
			return nil, &keyError{key: "auth.keys", err: err}
		}
		k, err := auth.PublicKeys(content)
		if err != nil {
			return nil, &keyError{key: "auth.keys", err: fmt.Errorf("%s %w", name, err)}
		}
		keys = append(keys, k...)
	}
	if c.Secret != "" {
		content, err := readFile(c.Secret)
		if err != nil {
			return nil, &keyError{key: "auth.secret", err: err}
		}
		k, err := auth.Secret(content)
		if err != nil {
			return nil, &keyError{key: "auth.secret", err: fmt.Errorf("%s %w", c.Secret, err)}
		}
		keys = append(keys, k)
	}
	if len(keys) > maxAuthKeys {
		return nil, &keyError{key: "auth.keys", err: errManyKeys}
	}
	return keys, nil
}

// maxAuthKeys bounds the keys that a token without a key's name is tried with. Chosen by us.
const maxAuthKeys = 16

var errManyKeys = errors.New("hold more than 16 keys")
