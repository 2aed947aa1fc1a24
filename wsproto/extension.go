package wsproto

// The grammar of Sec-WebSocket-Extensions, RFC 6455 §9.1, with optional white space around the separators:
//
//	extension-list  = 1#extension
//	extension       = token *( ";" extension-param )
//	extension-param = token [ "=" ( token | quoted-string ) ]
//
// and a token inside the quotes.

// validExtensions reports whether list is a list of extensions, at least one.
func validExtensions(list []byte) bool {
	for found := false; ; found = true {
		_, rest, ok := cutExtension(list)
		if !ok {
			return found && len(rest) == 0
		}
		for more := true; more; {
			if _, _, more, rest, ok = cutExtensionParam(rest); !ok {
				return false
			}
		}
		list = rest
	}
}

// cutExtension cuts the name of the first extension off list; empty elements before it are skipped. rest begins with its
// parameters, see cutExtensionParam. It is not ok if there is none: then an empty rest means that the list has ended.
func cutExtension(list []byte) (name, rest []byte, ok bool) {
	list = trim(list)
	for len(list) > 0 && list[0] == ',' {
		list = trim(list[1:])
	}
	n := token.span(list)
	return list[:n:n], list[n:], n > 0
}

// cutExtensionParam cuts the next parameter of an extension off b. Without more there is none, and rest is what follows
// the extension and its comma. value is nil if there is none, and still quoted if it was. It is not ok if b breaks the
// grammar.
func cutExtensionParam(b []byte) (name, value []byte, more bool, rest []byte, ok bool) {
	b = trim(b)
	if len(b) == 0 || b[0] == ',' {
		return nil, nil, false, b[min(1, len(b)):], true
	}
	if b[0] != ';' {
		return nil, nil, false, nil, false
	}
	b = trim(b[1:])
	n := token.span(b)
	name, b = b[:n:n], trim(b[n:])
	if n == 0 || len(b) == 0 || b[0] != '=' {
		return name, nil, true, b, n > 0
	}
	b = trim(b[1:])
	if n = token.span(b); n == 0 {
		n = quotedToken(b)
	}
	return name, b[:n:n], true, b[n:], n > 0
}

// quotedToken returns the length of the quoted token at b's start, quotes and backslashes included; 0 if there is none.
func quotedToken(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	for i := 1; i < len(b); i++ {
		if b[i] == '"' {
			if i == 1 {
				return 0
			}
			return i + 1
		}
		if b[i] == '\\' {
			i++
		}
		if i == len(b) || !token.has(b[i]) {
			return 0
		}
	}
	return 0
}
