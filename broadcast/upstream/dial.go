package upstream

import (
	"fmt"
	"math"
	"strings"

	"github.com/nats-io/nats.go"
)

// dial connects. guarded installs the guard of each socket; see conn.dialed.
func (cfg Config) dial(guarded func(*guard) *guard, options ...nats.Option) (*nats.Conn, error) {
	options = append(options, nats.Name(cfg.Name), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),           // a wrong password at NATS for a while must not end this server
		nats.PingInterval(cfg.PingInterval),   //
		nats.MaxPingsOutstanding(math.MaxInt)) // guard counts
	if cfg.ReconnectWait > 0 {
		options = append(options, nats.ReconnectWait(cfg.ReconnectWait), nats.ReconnectJitter(cfg.ReconnectWait/2, cfg.ReconnectWait))
	}
	if cfg.ConnectTimeout > 0 {
		options = append(options, nats.Timeout(cfg.ConnectTimeout))
	}
	switch {
	case cfg.CredentialsFile != "":
		credentials := nats.UserCredentials(cfg.CredentialsFile)
		if err := checkCredentials(credentials); err != nil {
			return nil, fmt.Errorf("upstream: read nats credentials: %w", err)
		}
		options = append(options, credentials)
	case cfg.Token != "":
		options = append(options, nats.Token(cfg.Token))
	case cfg.User != "":
		options = append(options, nats.UserInfo(cfg.User, cfg.Password))
	}
	if cfg.CAFile != "" {
		options = append(options, nats.RootCAs(cfg.CAFile))
	}
	if cfg.CertFile != "" {
		options = append(options, nats.ClientCert(cfg.CertFile, cfg.KeyFile))
	}
	if cfg.InProcess != nil {
		options = append(options, nats.InProcessServer(inProcess{cfg.InProcess, guarded}))
	} else {
		options = append(options, nats.SkipHostLookup(), nats.SetCustomDialer(newDialer(cfg, guarded)))
	}
	nc, err := nats.Connect(strings.Join(cfg.URLs, ","), options...)
	if err != nil {
		return nil, fmt.Errorf("upstream: connect to nats: %w", err)
	}
	return nc, nil
}

// checkCredentials reads the file once: with a bad one nats.go would try to connect forever.
func checkCredentials(credentials nats.Option) error {
	var o nats.Options
	if err := credentials(&o); err != nil {
		return err
	}
	if _, err := o.UserJWT(); err != nil {
		return err
	}
	_, err := o.SignatureCB([]byte("nonce"))
	return err
}
