package scrub

// maxLayers is how many escapes may lie in one another: a link with percent signs inside JSON inside a JSON string.
const maxLayers = 3

// spelled returns the character that text spells at i through at most so many layers of escapes, and where it ends; -1
// where the text has ended. Without an escape of printable ASCII it is the byte at i itself. Within an escape only
// punctuation is escaped again: nobody escapes digits and letters.
func spelled(text string, i, layers int) (c byte, end int) {
	if i >= len(text) {
		return 0, -1
	}
	c, end = text[i], i+1
	for layer := 0; layer < layers && beginsEscape(c); layer++ {
		if value, last := unescape(text, c, end, layer); last >= 0 {
			c, end = value, last
		}
	}
	return c, end
}

func beginsEscape(c byte) bool { return c == '\\' || c == '%' || c == '&' }

// unescape reads the escape that c begins and that goes on at i, its punctuation through so many further layers. end is
// -1 if it is none.
func unescape(text string, c byte, i, layers int) (value byte, end int) {
	if i >= len(text) {
		return 0, -1
	}
	next := text[i]
	switch unicode := next == 'u' || next == 'U'; {
	case c == '&':
		return readEntity(text, i, layers)
	case unicode:
		return readHex(text, i+1, 4)
	case c == '%':
		return readHex(text, i, 2)
	case next == 'x' || next == 'X':
		return readHex(text, i+1, 2)
	case isAlphanumeric(next) || next <= ' ' || next > '~':
		return 0, -1
	}
	return spelled(text, i, layers)
}

// readHex reads so many digits.
func readHex(text string, i, digits int) (value byte, end int) {
	if i+digits > len(text) {
		return 0, -1
	}
	number := 0
	for end = i; end < i+digits; end++ {
		digit := digitValue(text[end])
		if digit < 0 {
			return 0, -1
		}
		number = number<<4 | digit
	}
	return printable(number, end)
}

// readEntity reads what stands behind an ampersand: "plus;", "#43;", "#x2b;". The semicolon may be missing, as browsers
// have it.
func readEntity(text string, i, layers int) (value byte, end int) {
	if isAlphanumeric(text[i]) {
		var name [12]byte
		n := 0
		for ; i < len(text) && n < len(name) && isAlphanumeric(text[i]); i++ {
			name[n], n = text[i], n+1
		}
		if value = entities[string(name[:n])]; value == 0 {
			return 0, -1
		}
		return value, skipSemicolon(text, i, layers)
	}
	sign, i := spelled(text, i, layers)
	if sign != '#' {
		return 0, -1
	}
	base := 10
	if i < len(text) && (text[i] == 'x' || text[i] == 'X') {
		base, i = 16, i+1
	}
	number := 0
	for from := i; i < len(text) && i < from+8; i++ {
		digit := digitValue(text[i])
		if digit < 0 || digit >= base {
			break
		}
		number = min(number*base+digit, 0x7f)
	}
	return printable(number, skipSemicolon(text, i, layers))
}

func skipSemicolon(text string, i, layers int) int {
	if c, end := spelled(text, i, layers); end >= 0 && c == ';' {
		return end
	}
	return i
}

// printable returns its arguments if the number is that of printable ASCII.
func printable(number, end int) (value byte, at int) {
	if number <= ' ' || number > '~' {
		return 0, -1
	}
	return byte(number), end
}

func digitValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// entities are HTML's names for printable ASCII.
var entities = map[string]byte{
	"excl": '!', "quot": '"', "QUOT": '"', "num": '#', "dollar": '$', "percnt": '%', "amp": '&', "AMP": '&', "apos": '\'',
	"lpar": '(', "rpar": ')', "ast": '*', "midast": '*', "plus": '+', "comma": ',', "period": '.', "sol": '/', "colon": ':',
	"semi": ';', "lt": '<', "LT": '<', "equals": '=', "gt": '>', "GT": '>', "quest": '?', "commat": '@', "lsqb": '[',
	"lbrack": '[', "bsol": '\\', "rsqb": ']', "rbrack": ']', "Hat": '^', "lowbar": '_', "UnderBar": '_', "grave": '`',
	"lcub": '{', "lbrace": '{', "verbar": '|', "vert": '|', "VerticalLine": '|', "rcub": '}', "rbrace": '}',
}
