package client

import (
	"context"
	"errors"
	"time"

	"github.com/coder/websocket"
)

const closeTimeout = time.Second // for the server's answer to a close frame

// A webSocket is a line that takes commands.
type webSocket struct {
	conn   *websocket.Conn
	ctx    context.Context // of reading
	cancel context.CancelFunc
}

func openWebSocket(ctx context.Context, d *dial) (line, ending) {
	conn, resp, err := websocket.Dial(ctx, d.url.String(), &websocket.DialOptions{
		HTTPClient: d.http, HTTPHeader: d.header, Subprotocols: []string{"tickcast.v1.json"},
	})
	if err != nil {
		return nil, refused(resp, err.Error())
	}
	conn.SetReadLimit(messageMax)
	l := &webSocket{conn: conn}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return l, ending{}
}

func (l *webSocket) receive() received {
	_, b, err := l.conn.Read(l.ctx)
	if err == nil {
		return received{b: b}
	}
	e := &ending{reason: err.Error()}
	if closed := new(websocket.CloseError); errors.As(err, closed) {
		e.code, e.reason = int(closed.Code), closed.Reason
	}
	return received{end: e}
}

func (l *webSocket) send(ctx context.Context, b []byte) error {
	return l.conn.Write(ctx, websocket.MessageText, b)
}

func (l *webSocket) close(politely bool) {
	if politely {
		stop := time.AfterFunc(closeTimeout, l.cancel) // ends the reader, and so the wait of Close
		_ = l.conn.Close(websocket.StatusNormalClosure, "")
		stop.Stop()
	}
	l.cancel()
	_ = l.conn.CloseNow()
}
