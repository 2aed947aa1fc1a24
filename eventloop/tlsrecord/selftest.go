package tlsrecord

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// SelfTest checks that Records works with this version of crypto/tls: a handshake with a peer of crypto/tls in both roles,
// data both ways, new keys both ways, and the end. Without AES in hardware crypto/tls chooses another suite, and the test is
// skipped.
func SelfTest() error {
	cert, err := testCertificate()
	if err != nil {
		return fmt.Errorf("tlsrecord: self-test: %w", err)
	}
	for _, ours := range []bool{false, true} { // whether the client has Records
		err := selfTest(cert, ours)
		if err != nil {
			return fmt.Errorf("tlsrecord: self-test: %w", err)
		}
	}
	return nil
}

func selfTest(cert tls.Certificate, clientHasRecords bool) error {
	client, server, err := connect(cert, NewPool(1, 1, clientHasRecords), NewPool(1, 1, !clientHasRecords))
	if err != nil {
		return err
	}
	ours, theirs := server, client
	if clientHasRecords {
		ours, theirs = client, server
	}
	r, ok := ours.(*Records)
	if !ok {
		return nil
	}
	long := bytes.Repeat([]byte("0123456789abcdef"), 2000)
	for round := range 3 {
		var sealed []byte
		if round > 0 {
			sealed = r.updateKeys(nil, 1)
		}
		if err := opens(theirs, r.Seal(sealed, long), long); err != nil {
			return err
		}
		if err := opens(ours, theirs.Seal(nil, long), long); err != nil { // with the answer to updateKeys before it
			return err
		}
	}
	if p, err := theirs.Open(ours.End(nil, nil)); len(p) > 0 || err == nil {
		return errors.New("close_notify is not understood")
	}
	return nil
}

// opens checks that s opens sealed as want.
func opens(s Session, sealed, want []byte) error {
	got, err := s.Open(sealed)
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New("other plaintext")
	}
	return err
}

// connect runs a handshake between a client and a server of two pools.
func connect(cert tls.Certificate, clients, servers *Pool) (client, server Session, err error) {
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	events := make(chan struct{}, 16) // more than a handshake has
	notify := func() { events <- struct{}{} }
	s := servers.Server(ServerConfig(func() *tls.Config { return config }), notify)
	c, err := clients.Client(&tls.Config{InsecureSkipVerify: true}, notify)
	if err != nil {
		return nil, nil, err
	}
	defer c.Abort()
	defer s.Abort()
	for client == nil || server == nil {
		select {
		case <-events:
		case <-time.After(selfTestTimeout):
			return nil, nil, errors.New("the handshake does not end")
		}
		for _, way := range []struct {
			from, to *Handshake
			session  *Session
			peer     *Session
		}{{c, s, &client, &server}, {s, c, &server, &client}} {
			if err := pump(way.from, way.to, way.session, way.peer); err != nil {
				return nil, nil, err
			}
		}
	}
	return client, server, nil
}

const selfTestTimeout = 10 * time.Second

// pump moves the output of from to its peer, which has a session once its handshake is over.
func pump(from, to *Handshake, session, peer *Session) error {
	if *session != nil {
		return nil
	}
	out, r, done := from.Take()
	if done {
		if r.Err != nil {
			return r.Err
		}
		*session = r.Session
		if _, err := r.Session.Open(r.Input); err != nil {
			return err
		}
	}
	if *peer == nil {
		_, err := to.Open(out)
		return err
	}
	_, err := (*peer).Open(out) // session tickets
	return err
}

// testCertificate returns a certificate for this process only.
func testCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
