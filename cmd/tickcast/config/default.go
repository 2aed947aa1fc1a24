package config

import "fmt"

// defaults returns the configuration of a server without file, environment and flags. Each call returns a fresh one.
func defaults() *Config {
	c := &Config{from: origins{}}
	assignDefaults(c.keys())
	return c
}

// defaultClass returns a class in which only match is set. With match ">" it has the rules of delivery for topics without a
// class.
func defaultClass(match string) Class {
	c := Config{Classes: make([]Class, 1)}
	assignDefaults(c.classKeys(0))
	c.Classes[0].Match = match
	return c.Classes[0]
}

// assignDefaults sets keys to their defaults. A tag that does not fit its field is a bug, which any test shows.
func assignDefaults(keys []key) {
	for _, k := range keys {
		if _, isList := k.value.(*[]string); k.byDefault == "" && !isList {
			continue // the zero value
		}
		if err := k.assignText(k.byDefault); err != nil {
			panic(fmt.Sprintf("default of %s: %v", k.path, err))
		}
	}
}
