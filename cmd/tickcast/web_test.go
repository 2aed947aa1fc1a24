package main

import (
	"bytes"
	"testing"
)

func TestPageKnowsTheStreamPath(t *testing.T) {
	pages, err := webPages("/live/feed")
	if err != nil {
		t.Fatal(err)
	}
	served := make(map[string][]byte)
	for _, p := range pages {
		served[p.Path] = p.Body
	}
	if !bytes.Contains(served["/"], []byte(`<meta name="stream" content="./live/feed">`)) {
		t.Error("the page does not name /live/feed")
	}
	for _, path := range []string{"/app.js", "/tickcast.js", "/style.css"} {
		if len(served[path]) == 0 {
			t.Errorf("%s is not served", path)
		}
	}
	if _, ok := served["/tickcast.test.mjs"]; ok {
		t.Error("the page's tests are served")
	}
}
