package web

import (
	"bytes"
	"embed"
	"html"
	"io/fs"
	"path"
	"strings"

	"tickcast/client/js"
)

//go:embed *.html *.css *.js *.svg
var page embed.FS

// contentTypes maps the extension of a served file to its Content-Type.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
}

// streamMeta is the line of index.html that names the stream. The name is relative to the page, so that a proxy may put
// both under a path of its own.
const streamMeta = `<meta name="stream" content="stream">`

// A File is one file as a browser loads it.
type File struct {
	Path        string // of the URL; index.html has "/"
	ContentType string
	Body        []byte
}

// Files returns the page and the client under the root of the server. The page connects to streamPath, such as "/stream".
func Files(streamPath string) ([]File, error) {
	files := []File{
		{Path: "/tickcast.js", ContentType: contentTypes[".js"], Body: js.Module},
		{Path: "/tickcast-worker.js", ContentType: contentTypes[".js"], Body: js.Worker},
	}
	names, err := fs.Glob(page, "*")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		body, err := page.ReadFile(name)
		if err != nil {
			return nil, err
		}
		f := File{Path: "/" + name, ContentType: contentTypes[path.Ext(name)], Body: body}
		if name == "index.html" {
			f.Path = "/"
			relative := html.EscapeString("." + streamPath)
			f.Body = bytes.Replace(body, []byte(streamMeta), []byte(strings.Replace(streamMeta, `"stream">`, `"`+relative+`">`, 1)), 1)
		}
		files = append(files, f)
	}
	return files, nil
}
