package vidu

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/vidu-go/vidu/internal/lenientjson"
	"github.com/vidu-go/vidu/internal/scrub"
)

// A response to a create that is no usable reply may still name a task, anywhere in it. Then a task exists, whatever
// else the response says, and its id must reach the caller, who pays for it.

// naming is what a response says of tasks.
type naming struct {
	ids    []string // values of "task_id" and the like, each once, at most two
	begun  []string // likewise, of an "id" beside the state of a task, and of names such as "upstream_task_id"
	words  []string // likewise, in what is no JSON
	unread bool     // a task is named, but its id is no text that an id can be
	hidden bool     // not all of the response was searched
	whole  bool     // the response is whole JSON
}

// Bounds of the search, of which each level of nesting costs one more reading of what is in it.
const (
	maxNamingDepth = 8
	maxNamingItems = 100_000
	maxQuoted      = 1 << 20 // bytes of a string that may hold JSON
	maxNamedID     = 1024    // bytes
)

// taskIDNames are the names of a task's id, as foldWords has them. Names in these tables fold in the same way.
var taskIDNames = []string{"taskid", "taskids"}

// taskPlaces are the members that hold a task, or what wraps one. The response itself is such a place, too. Elsewhere
// an "id" beside a state is that of something else.
var taskPlaces = []string{"data", "task", "tasks", "result", "results", "output", "error"}

// callersTexts are the members that echo texts of the caller, who may have JSON of his own in them.
var callersTexts = []string{"payload", "prompt", "metadata"}

// named reports whether the response names a task.
func (n *naming) named() bool { return n.unread || len(n.ids)+len(n.begun)+len(n.words) > 0 }

// only returns the id of the task if exactly one is named, else "". A "task_id" outdoes an "id", which may be that of
// the request; one that may stand in a lost part makes the "id" worthless. Words count where there is nothing else.
func (n *naming) only() string {
	ids := n.ids
	if len(ids) == 0 && n.whole {
		ids = n.begun
	}
	if len(n.ids)+len(n.begun) == 0 {
		ids = n.words
	}
	if len(ids) != 1 {
		return ""
	}
	return ids[0]
}

// namedTasks searches the body of a response, and its Location.
func namedTasks(body, location string) *naming {
	body = strings.TrimPrefix(body, lenientjson.ByteOrderMark)
	s := namingSearch{naming: naming{whole: lenientjson.Value(body).Valid()}, left: maxNamingItems}
	s.look(jsonIn(body), "", true, maxNamingDepth)
	if !s.whole && !scrub.IsMarkup(body) {
		s.lookInWords(body)
	}
	s.lookInLink(location)
	return &s.naming
}

// jsonIn returns what of a text may be JSON: all of it, or what stands behind an introduction; "" in a web page.
func jsonIn(text string) lenientjson.Value {
	text = lenientjson.TrimLeft(text)
	if len(text) == 0 || text[0] == '<' {
		return ""
	}
	if i := strings.IndexByte(text, '{'); i > 0 && text[0] != '[' && text[0] != '"' {
		return lenientjson.Value(text[i:])
	}
	return lenientjson.Value(text)
}

type namingSearch struct {
	naming

	left int // items that may still be looked at
}

// look searches the value of a member. place: an "id" in it may be a task's.
func (s *namingSearch) look(v lenientjson.Value, member string, place bool, depth int) {
	v = lenientjson.Value(lenientjson.TrimLeft(string(v)))
	switch {
	case (v.IsString() || v.IsNumber()) && slices.Contains(taskIDNames, member):
		s.add(&s.ids, v)
	case (v.IsString() || v.IsNumber()) && strings.Contains(member, taskIDNames[0]):
		s.add(&s.begun, v)
	case v.IsString() && !slices.Contains(callersTexts, member):
		s.lookInText(v, depth)
	case !v.IsObject() && !v.IsArray(), v.IsEmpty():
	case depth == 0:
		s.hidden = true
	case v.IsArray():
		for it := v.Items(); s.next(&it); {
			s.look(it.Value(), member, place, depth-1)
		}
	default:
		s.lookInObject(v, member, place, depth)
	}
}

// lookInText searches what a gateway quotes in a string of its own: JSON, or something like it.
func (s *namingSearch) lookInText(v lenientjson.Value, depth int) {
	if strings.IndexByte(string(v), '{') < 0 || strings.IndexByte(string(v), '\\') < 0 {
		s.lookInWords(string(v))
		return
	}
	if depth == 0 || len(v) > maxQuoted {
		s.hidden = true
		return
	}
	text := v.Str()
	s.look(jsonIn(text), "", true, depth-1)
	if !lenientjson.Value(text).Valid() {
		s.lookInWords(string(v))
	}
}

// inWords matches what stands behind the "t" of a task's id and its name in a text that is no JSON: in a map as Python
// or Go prints it, in JSON with a NaN or behind other JSON, in a query. The last part is what ends the id.
var inWords = regexp.MustCompile(`^(?i:ask[ _-]?ids?)[\\"']*\s*[:=]\s*[\[\\"']*([A-Za-z0-9_.:~+@-]+)([^A-Za-z0-9_.:~+@-]?)`)

// lookInWords searches a text that is no JSON. Only what has a digit is taken for an id, for words may follow, too.
func (s *namingSearch) lookInWords(text string) {
	for _, part := range []string{"ask", "ASK"} {
		for rest := text; s.left > 0; s.left-- {
			i := strings.Index(rest, part)
			if i < 0 {
				break
			}
			rest = rest[i:]
			if found := inWords.FindStringSubmatch(rest[:min(len(rest), maxNamedID)]); found != nil && strings.ContainsAny(found[1], digits) {
				s.addWord(strings.TrimRight(found[1], ".:"), len(found[2]) > 0)
			}
			rest = rest[len(part):]
		}
	}
	s.hidden = s.hidden || s.left == 0
}

// addWord adds an id that a text names. whole: the text goes on behind it.
func (s *namingSearch) addWord(id string, whole bool) {
	switch {
	case isNoID(id):
	case !whole || !validID(id):
		s.unread = true
	default:
		addOnce(&s.words, id)
	}
}

func (s *namingSearch) lookInObject(v lenientjson.Value, member string, place bool, depth int) {
	var ids []lenientjson.Value
	begun := slices.Contains(taskIDNames, member) // {"task_id":{"id":"9"}}
	for it := v.Items(); s.next(&it); {
		key := it.Key()
		name := foldWords(key[:min(len(key), maxCode)])
		switch {
		case name == "id" && len(ids) < 3:
			ids = append(ids, it.Value())
		case name == "state":
			begun = begun || (place && isBegun(it.Value()))
		case name == "status":
			begun = begun || (place && isRunning(it.Value()))
		}
		s.look(it.Value(), name, place && slices.Contains(taskPlaces, name), depth-1)
	}
	for _, id := range ids {
		if begun {
			s.add(&s.begun, id)
		}
	}
}

// next moves on, as long as the search may go on.
func (s *namingSearch) next(it *lenientjson.Items) bool {
	if s.left == 0 {
		s.hidden = true
		return false
	}
	s.left--
	return it.Next()
}

// add adds an id to a list.
func (s *namingSearch) add(ids *[]string, v lenientjson.Value) {
	id := v.Text()
	switch {
	case isNoID(id):
	case v.IsNumber() && !isDigits(id), isMangled(id), len(id) > maxNamedID:
		s.unread = true
	default:
		addOnce(ids, id)
	}
}

// isNoID reports whether an id says that there is none.
func isNoID(id string) bool {
	return strings.TrimSpace(id) == "" || slices.ContainsFunc(noIDs, func(no string) bool { return strings.EqualFold(id, no) })
}

// noIDs are what languages make of an id that is absent.
var noIDs = []string{"0", "null", "nil", "none", "undefined"}

func addOnce(ids *[]string, id string) {
	if len(*ids) < 2 && !slices.Contains(*ids, id) {
		*ids = append(*ids, id)
	}
}

// lookInLink searches the path and the query of a link such as …/tasks/<id>/creations or …?task_id=<id>.
func (s *namingSearch) lookInLink(location string) {
	link, err := url.Parse(location)
	if err != nil {
		return
	}
	elements := strings.Split(link.Path, "/")
	for i, id := range elements[1:] {
		if before := foldWords(elements[i]); (before == "tasks" || before == "task") && validID(id) {
			addOnce(&s.ids, id)
		}
	}
	for name, values := range link.Query() {
		if slices.Contains(taskIDNames, foldWords(name)) && validID(values[0]) {
			addOnce(&s.ids, values[0])
		}
	}
}

// isBegun reports whether a "state" is that of a task that was created and has not failed.
func isBegun(v lenientjson.Value) bool {
	state := parseState(strings.TrimSpace(v.Text()))
	return state != "" && state != StateFailed && state != StateCanceled
}

// isRunning reports whether a "status", which may be that of the response, is that of a task that runs.
func isRunning(v lenientjson.Value) bool { return State(v.Str()).isRunning() }
