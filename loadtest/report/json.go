package report

import (
	"encoding/json"
	"fmt"
	"io"

	"tickcast/loadtest"
)

// WriteJSON writes r as indented JSON. It writes no byte if r holds a figure that is not a number.
func WriteJSON(w io.Writer, r *loadtest.Report) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // URLs stay readable
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("report: write JSON: %w", err)
	}
	return nil
}
