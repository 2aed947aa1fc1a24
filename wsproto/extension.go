package wsproto

// The grammar of Sec-WebSocket-Extensions, RFC 6455 §9.1, with optional white space around the separators:
//
//	extension-list  = 1#extension
//	extension       = token *( ";" extension-param )
//	extension-param = token [ "=" ( token | quoted-string ) ]
//
// Inside the quotes stands a token.

// validExtensions reports whether list is a list of at least one extension.
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

// cutExtension cuts the name of the first extension off list. Empty elements before it are skipped. rest begins with the
// extension's parameters, see cutExtensionParam. ok is false if there is no extension; rest is then empty at the list's end.
func cutExtension(list []byte) (name, rest []byte, ok bool) {
	list = trimSpace(list)
	for len(list) > 0 && list[0] == ',' {
		list = trimSpace(list[1:])
	}
	n := token.span(list)
	return list[:n:n], list[n:], n > 0
}

// cutExtensionParam cuts the next parameter of an extension off b. more is false after the last parameter; rest then begins
// after the extension and its comma. value is nil for a parameter without a value; a quoted value keeps its quotes. ok is
// false if b breaks the grammar.
func cutExtensionParam(b []byte) (name, value []byte, more bool, rest []byte, ok bool) {
	b = trimSpace(b)
	if len(b) == 0 || b[0] == ',' {
		return nil, nil, false, b[min(1, len(b)):], true
	}
	if b[0] != ';' {
		return nil, nil, false, nil, false
	}
	b = trimSpace(b[1:])
	n := token.span(b)
	name, b = b[:n:n], trimSpace(b[n:])
	if n == 0 || len(b) == 0 || b[0] != '=' {
		return name, nil, true, b, n > 0
	}
	b = trimSpace(b[1:])
	if n = token.span(b); n == 0 {
		n = quotedToken(b)
	}
	return name, b[:n:n], true, b[n:], n > 0
}

// quotedToken returns the length of the quoted token at b's start, with quotes and backslashes; 0 if there is none.
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
		if i == len(b) || !token.contains(b[i]) {
			return 0
		}
	}
	return 0
}
