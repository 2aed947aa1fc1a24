//go:build race

package eventloop_test

func init() { underRace = true }
