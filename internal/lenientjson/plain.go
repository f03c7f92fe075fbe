package lenientjson

import (
	"encoding/binary"
	"unicode/utf8"
)

// plainLen returns how many bytes at the start of the content of a string are plain.
func plainLen(text string) int {
	const ones = 0x0101010101010101 // ones*b has the byte b in all eight places
	n := 0
	for ; n+8 <= len(text); n += 8 {
		w := binary.LittleEndian.Uint64([]byte(text[n : n+8]))
		// A byte that is not plain sets the highest bit of its place: a control character in the first difference, a
		// quote and a backslash, which are 0 after the xor, in the others, and what is not ASCII anyway.
		if (w|(w-ones*' ')|((w^ones*'"')-ones)|((w^ones*'\\')-ones))&(ones*utf8.RuneSelf) != 0 {
			break
		}
	}
	for n < len(text) && isPlain[text[n]] {
		n++
	}
	return n
}

// isPlain has the ASCII characters that a string may have as they are: all but the quote, the backslash and control
// characters.
var isPlain = func() (table [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()
