package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// WaitReady asks the URL of a server's /readyz until the answer is 200. It returns an error once ended is closed, which
// says that the server's process has ended, or once ctx is over.
func WaitReady(ctx context.Context, url string, ended <-chan struct{}) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if r, err := http.DefaultClient.Do(req); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ended:
			return errors.New("a server ended at its start")
		case <-ctx.Done():
			return fmt.Errorf("%s does not become ready: %w", url, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
