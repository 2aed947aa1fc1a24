package eventloop

import "testing"

func TestTopicsInTheQuery(t *testing.T) {
	s := start(t)
	for query, want := range map[string]string{
		"topics=px.A,px.B":                   `{"op":"ack","topics":[{"t":"px.A","mode":"last"`,
		"topics=%5B%22a%2Cb%22%2C%22c%22%5D": `{"op":"ack","topics":[{"t":"a,b","mode":"last"`,
		"topics=%5B%22a%2Cb%22%5D&topics=c":  `{"op":"ack","topics":[{"t":"a,b","mode":"last"`,
		"topics=px.%3E":                      `{"op":"ack","topics":[{"t":"px.>","mode":"last"`,
		"topics=p%C2%A0x":                    `{"op":"ack","errors":[{"t":"p x","code":107`,
		"topic=x&topics=px.A":                `{"op":"ack","topics":[{"t":"px.A","mode":"last"`,
	} {
		c := s.open(query)
		c.expect(want)
		c.Close()
	}
}
