package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// onTokens are attacks with tokens.
var onTokens = []attack{
	{name: "tokens of 8 KB by auth", keys: "the longest token", run: longTokens, counts: `websockets_closed_total{code="4500"}`},
	{name: "forged tokens in headers", keys: "the answer, and ban_after", run: forgedTokens, counts: `rejected_total{reason="token"}`},
	{name: "forged tokens by auth", keys: "the answer, and ban_after", run: forgedAuths, counts: `websockets_closed_total{code="4500"}`},
	{name: "1,000 tokens that expire in one second", keys: "flow.slice", run: expiringTokens, counts: `websockets_closed_total{code="4002"}`},
}

// onAuthority is the attack with tokens of unknown keys while the authority has a fault.
func onAuthority(fault, counts string) []attack {
	return []attack{{name: "unknown keys, their authority " + fault, keys: "auth.jwks_ask_every", run: unknownKeys, counts: counts}}
}

func longTokens(ctx context.Context, t *target) {
	bad := frame(`{"op":"auth","token":"eyJhbGciOiJFZERTQSJ9.` + strings.Repeat("A", 8000) + `.AAAA"}`)
	again(ctx, 64, func(int) { t.shout(request("") + bad) })
}

func forgedTokens(ctx context.Context, t *target) {
	bad, err := token(t.dir, strangerKey, "", time.Hour)
	if err != nil {
		t.note = err.Error()
	}
	again(ctx, 64, func(int) { t.shout(request("", bearer(bad))) })
}

func forgedAuths(ctx context.Context, t *target) {
	bad, err := token(t.dir, strangerKey, "", time.Hour)
	if err != nil {
		t.note = err.Error()
	}
	again(ctx, 64, func(int) { t.shout(request("") + frame(`{"op":"auth","token":"`+bad+`"}`)) })
}

// expiringTokens opens 1,000 streams whose tokens expire at the same time, and opens them again with new tokens when they have ended.
func expiringTokens(ctx context.Context, t *target) {
	ended, rounds := 0, 0
	for ; ctx.Err() == nil; rounds++ {
		const valid = 2 * time.Second
		good, err := token(t.dir, tokenKey, "", valid)
		if err != nil {
			t.note = err.Error()
			return
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		for range 1000 {
			all.Go(func() {
				c, err := t.dial("?topics=px.1", bearer(good))
				if err != nil {
					return
				}
				defer c.Close()
				for err == nil {
					_, err = c.next(2 * valid)
				}
				if err == io.EOF {
					mu.Lock()
					ended++
					mu.Unlock()
				}
			})
		}
		all.Wait()
	}
	t.note = fmt.Sprintf("%d connections of %d ended with a close frame", ended, 1000*rounds)
}

// unknownKeys sends tokens whose kid is a new one each time, in headers and by auth.
func unknownKeys(ctx context.Context, t *target) {
	again(ctx, 64, func(i int) {
		bad, err := token(t.dir, strangerKey, fmt.Sprint(i, time.Now().UnixNano()), time.Hour)
		switch {
		case err != nil:
		case i%2 == 0:
			t.shout(request("", bearer(bad)))
		default:
			t.shout(request("") + frame(`{"op":"auth","token":"`+bad+`"}`))
		}
	})
}
