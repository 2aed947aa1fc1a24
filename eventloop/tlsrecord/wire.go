package tlsrecord

// Set by the RFC.
const (
	headerLen                = 5
	maxPlain                 = 1 << 14        // bytes of a record's content
	maxSealed                = maxPlain + 256 // bytes behind a record's header
	ivLen                    = 12
	tagLen                   = 16
	overhead                 = 1 + tagLen       // bytes of the type and the tag
	updateAfter              = 1<<24 - 1<<10    // records with one key; 2^24.5 full ones is the limit of AES-GCM (section 5.5)
	recordMajor, recordMinor = 3, 3             // the version in every header, section 5.1
	maxTicket                = 1<<16 + 1<<8 + 8 // bytes of a NewSessionTicket, about: its ticket, nonce and extensions
)

// The content types, RFC 8446 section 5.1.
const (
	typeAlert     = 21
	typeHandshake = 22
	typeData      = 23
)
