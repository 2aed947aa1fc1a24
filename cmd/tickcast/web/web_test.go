package web

import (
	"bytes"
	"testing"
)

func TestPageKnowsTheStreamPath(t *testing.T) {
	files, err := Files("/live/feed")
	if err != nil {
		t.Fatal(err)
	}
	served := make(map[string][]byte)
	for _, f := range files {
		served[f.Path] = f.Body
	}
	if !bytes.Contains(served["/"], []byte(`<meta name="stream" content="./live/feed">`)) {
		t.Error("the page does not name /live/feed")
	}
	for _, path := range []string{"/app.js", "/style.css", "/icon.svg", "/tickcast.js", "/tickcast-worker.js", "/early.js", "/panels.css", "/chart.js"} {
		if len(served[path]) == 0 {
			t.Errorf("%s is not served", path)
		}
	}
	if _, ok := served["/page.test.mjs"]; ok {
		t.Error("/page.test.mjs, a test, is served")
	}
}
