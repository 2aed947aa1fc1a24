package tlsrecord

import "fmt"

// An Alert is a description of RFC 8446 section 6. As an error, it is the fatal alert that the peer sent.
type Alert uint8

// Set by the RFC. Only the alerts that this package sends or understands.
const (
	alertCloseNotify       Alert = 0
	alertUnexpectedMessage Alert = 10
	alertBadRecordMAC      Alert = 20
	alertRecordOverflow    Alert = 22
	alertIllegalParameter  Alert = 47
	alertDecodeError       Alert = 50
	alertProtocolVersion   Alert = 70
	alertUserCanceled      Alert = 90
)

func (a Alert) Error() string { return fmt.Sprintf("tlsrecord: the peer sent alert %d", uint8(a)) }

// A ProtocolError is a broken rule of the peer, with the alert for it.
type ProtocolError struct {
	Alert  Alert
	Reason string
}

func (e *ProtocolError) Error() string { return "tlsrecord: " + e.Reason }

// The broken rules, RFC 8446 sections 4.6.3, 5 and 6.
var (
	ErrType         = &ProtocolError{alertUnexpectedMessage, "record of an unexpected type"}
	ErrVersion      = &ProtocolError{alertProtocolVersion, "record of another version"}
	ErrTooLong      = &ProtocolError{alertRecordOverflow, "record over the limit"}
	ErrTag          = &ProtocolError{alertBadRecordMAC, "record with a wrong tag"}
	ErrOnlyPadding  = &ProtocolError{alertUnexpectedMessage, "record without a type"}
	ErrUseless      = &ProtocolError{alertUnexpectedMessage, "too many records without data"}
	ErrInterleaved  = &ProtocolError{alertUnexpectedMessage, "record inside of a handshake message"}
	ErrAlertLength  = &ProtocolError{alertDecodeError, "alert of a wrong length"}
	ErrEmptyMessage = &ProtocolError{alertUnexpectedMessage, "empty handshake record"}
	ErrMessage      = &ProtocolError{alertUnexpectedMessage, "unexpected handshake message"}
	ErrKeyUpdate    = &ProtocolError{alertIllegalParameter, "malformed KeyUpdate"}
	ErrNotAligned   = &ProtocolError{alertUnexpectedMessage, "data after a KeyUpdate in its record"}
)
