package lenientjson

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// IsObject reports whether v begins like an object.
func (v Value) IsObject() bool { return len(v) > 0 && v[0] == '{' }

// IsArray reports whether v begins like an array.
func (v Value) IsArray() bool { return len(v) > 0 && v[0] == '[' }

// IsString reports whether v is a string.
func (v Value) IsString() bool { return len(v) > 1 && v[0] == '"' }

// IsNumber reports whether v is a number.
func (v Value) IsNumber() bool { return len(v) > 0 && (v[0] == '-' || ('0' <= v[0] && v[0] <= '9')) }

// IsNull reports whether v is null or absent.
func (v Value) IsNull() bool { return len(v) == 0 || v == "null" }

// IsEmpty reports whether v is absent, null, "", {}, [] or false, which some servers send where others send nothing.
func (v Value) IsEmpty() bool {
	switch v {
	case "", "null", `""`, "{}", "[]", "false":
		return true
	}
	return false
}

// Member returns the first member of an object with exactly this name, "" where there is none.
func (v Value) Member(name string) Value {
	for it := v.Items(); it.Next(); {
		if it.Key() == name {
			return it.Value()
		}
	}
	return ""
}

// Str returns a copy of the content of a string, "" for everything else. Bytes that are not UTF-8 become U+FFFD.
func (v Value) Str() string {
	if !v.IsString() {
		return ""
	}
	inner := string(v[1 : len(v)-1])
	if isVerbatim(inner) {
		return strings.Clone(inner)
	}
	return unescaped(inner)
}

// Text returns a copy of the content of a string or a number digit by digit: ids exceed what a float64 holds.
func (v Value) Text() string {
	if v.IsNumber() {
		return strings.Clone(string(v))
	}
	return v.Str()
}

// Shared returns what Text does, but no copy unless there are escapes.
func (v Value) Shared() string {
	if v.IsNumber() {
		return string(v)
	}
	if v.IsString() && isVerbatim(string(v[1:len(v)-1])) {
		return string(v[1 : len(v)-1])
	}
	return v.Str()
}

// The readers below set *to and report whether v is a value of that kind; *to stays as it is when v is not. null, ""
// and an absent value pass, too: ReadNumber and ReadTime leave *to as it is then, ReadInt and ReadTexts set it to zero.

// ReadTexts reads an array of strings and numbers, each as [Value.Shared] does; "", {} and false count as an empty one.
// It always sets *to.
func (v Value) ReadTexts(to *[]string) bool {
	*to = nil
	for it := v.Items(); it.Next(); {
		*to = append(*to, it.Value().Shared())
	}
	return v.IsArray() || v.IsEmpty()
}

// ReadNumber reads a finite number, also as a string and with a percent sign behind it.
func (v Value) ReadNumber(to *float64) bool {
	text := strings.TrimSuffix(v.Shared(), "%")
	if text == "" {
		return v.IsString() || v.IsNull()
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return false
	}
	*to = n
	return true
}

// ReadInt reads a whole number, also as a string and in the forms 4.0 and 1e2.
func (v Value) ReadInt(to *int) bool {
	if n, err := strconv.Atoi(strings.Trim(string(v), `"`)); err == nil {
		*to = n
		return true
	}
	var n float64
	if !v.ReadNumber(&n) || n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
		return false
	}
	*to = int(n)
	return true
}

// ReadRounded reads any number that a whole one can stand for, by way of round, such as [math.Ceil]. It reads what
// ReadInt does not: 7.5. A number that would lose digits is not read.
func (v Value) ReadRounded(to *int, round func(float64) float64) bool {
	if v.ReadInt(to) {
		return true
	}
	var n float64
	if !v.ReadNumber(&n) || math.Abs(n) > min(maxExact, math.MaxInt-1) {
		return false
	}
	*to = int(round(n))
	return true
}

const maxExact = 1 << 53 // from there on float64 has no fractions, and soon not each whole number

// ReadBool reads true, false, 1 and 0, also as strings. null and "" are false; an absent value does not pass.
func (v Value) ReadBool(to *bool) bool {
	switch v {
	case "true", `"true"`, "1", `"1"`:
		*to = true
		return true
	case "false", `"false"`, "0", `"0"`, `""`, "null":
		*to = false
		return true
	}
	return false
}

// The years 1 to 9999 are what encoding/json can marshal.
const firstTime, lastTime = -62_135_596_800, 253_402_300_799

// ReadTime reads RFC 3339 and unix seconds or milliseconds, as numbers or strings, into UTC. 0 sets nothing.
func (v Value) ReadTime(to *time.Time) bool {
	if v.IsEmpty() || strings.Trim(string(v), `"`) == "0" {
		return v.IsString() || v.IsNumber() || v.IsNull()
	}
	var t time.Time
	if t.UnmarshalJSON([]byte(v)) != nil {
		n, err := strconv.ParseInt(v.Shared(), 10, 64)
		if err != nil || n < 0 {
			return false
		}
		t = time.Unix(n, 0)
		if n > 1e11 { // as seconds this would be the year 5138
			t = time.UnixMilli(n)
		}
	}
	t = t.UTC()
	if t.Unix() < firstTime || t.Unix() > lastTime {
		return false
	}
	*to = t
	return true
}
