package main

import "errors"

// errUsage is the error inside of errors about the command line.
var errUsage = errors.New("bad usage")

// usageError is an error about the command line. Its text is that of the cause alone.
type usageError struct{ err error }

func (e usageError) Error() string   { return e.err.Error() }
func (e usageError) Unwrap() []error { return []error{e.err, errUsage} }
