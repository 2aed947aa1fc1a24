//go:build race

package broadcast

func init() { underRace = true }
