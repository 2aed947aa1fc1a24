package config

// A keyError is a wrong value of a key.
type keyError struct {
	key   string // path
	class string // the name of its class of topics; "" = it is not in one
	where string // its origin; "" = its default, or not known
	err   error
}

func (e *keyError) Error() string {
	text := e.key
	if e.class != "" {
		text = classTable + "." + key{path: e.key}.name() + " of " + e.class
	}
	if e.where != "" {
		text = e.where + ": " + text
	}
	return text + ": " + e.err.Error()
}

func (e *keyError) Unwrap() error { return e.err }
