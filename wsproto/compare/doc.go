// Package compare holds wsproto against other WebSocket libraries: what they take for the same work, and where their
// verdict on the same bytes is another. It is a module of its own, so that they are in no go.mod but this one. There is
// nothing in it but tests.
package compare
