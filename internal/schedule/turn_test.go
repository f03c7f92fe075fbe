package schedule_test

import (
	"math"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"

	"github.com/vidu-go/vidu/internal/schedule"
)

const sec = time.Second

// inState returns a Turn in a state, whose next query is or was due at 10 s.
func inState(state string) *schedule.Turn {
	t := new(schedule.Turn)
	t.Ask()
	t.Rest(0, 10*sec, 0, false)
	if state == "asking" || state == "called" || state == "calledGenuine" {
		t.Ask()
	}
	switch state {
	case "called":
		t.Wake(3*sec, false)
	case "calledGenuine":
		t.Wake(3*sec, true)
	case "ended":
		t.End()
	}
	return t
}

// Every event in every state, at 4 s.
func TestTurn_Events(t *testing.T) {
	t.Parallel()
	events := map[string]func(t *schedule.Turn) (genuine bool){
		"Ask":        func(t *schedule.Turn) bool { t.Ask(); return false },
		"Rest":       func(t *schedule.Turn) bool { return t.Rest(4*sec, 20*sec, 0, false) },
		"Again":      func(t *schedule.Turn) bool { return t.Again(4 * sec) },
		"unverified": func(t *schedule.Turn) bool { return t.Wake(4*sec, false) },
		"genuine":    func(t *schedule.Turn) bool { return t.Wake(4*sec, true) },
		"End":        func(t *schedule.Turn) bool { t.End(); return false },
	}
	type outcome struct {
		state   string
		due     time.Duration
		genuine bool
	}
	for from, rows := range map[string]map[string]outcome{
		"waiting": {
			"Ask":        {"asking", 10 * sec, false},
			"Rest":       {"waiting", 10 * sec, false},
			"Again":      {"waiting", 10 * sec, false},
			"unverified": {"waiting", 4 * sec, false},
			"genuine":    {"waiting", 4 * sec, true},
			"End":        {"ended", 10 * sec, false},
		},
		"asking": {
			"Ask":        {"asking", 10 * sec, false},
			"Rest":       {"waiting", 24 * sec, false},
			"Again":      {"waiting", 10 * sec, false},
			"unverified": {"called", 10 * sec, false},
			"genuine":    {"calledGenuine", 10 * sec, false},
			"End":        {"ended", 10 * sec, false},
		},
		"called": {
			"Ask":        {"called", 10 * sec, false},
			"Rest":       {"waiting", 4 * sec, false},
			"Again":      {"waiting", 4 * sec, false},
			"unverified": {"called", 10 * sec, false},
			"genuine":    {"calledGenuine", 10 * sec, false},
			"End":        {"ended", 10 * sec, false},
		},
		"calledGenuine": {
			"Ask":        {"calledGenuine", 10 * sec, false},
			"Rest":       {"waiting", 4 * sec, true},
			"Again":      {"waiting", 4 * sec, true},
			"unverified": {"calledGenuine", 10 * sec, false},
			"genuine":    {"calledGenuine", 10 * sec, false},
			"End":        {"ended", 10 * sec, false},
		},
		"ended": {
			"Ask":        {"ended", 10 * sec, false},
			"Rest":       {"ended", 10 * sec, false},
			"Again":      {"ended", 10 * sec, false},
			"unverified": {"ended", 10 * sec, false},
			"genuine":    {"ended", 10 * sec, false},
			"End":        {"ended", 10 * sec, false},
		},
	} {
		assert.Len(t, rows, len(events))
		for event, want := range rows {
			t.Run(from+" "+event, func(t *testing.T) {
				t.Parallel()
				turn := inState(from)
				genuine := events[event](turn)
				assert.Equal(t, want, outcome{turn.State(), turn.Due(), genuine})
			})
		}
	}
}

// The genuine callback counts for one answer, whatever comes after it.
func TestTurn_GenuineOnce(t *testing.T) {
	t.Parallel()
	turn := inState("calledGenuine")
	assert.True(t, turn.Rest(4*sec, 20*sec, 0, false))
	turn.Ask()
	assert.False(t, turn.Rest(5*sec, 20*sec, 0, false))
	turn.Ask()
	turn.Wake(6*sec, false)
	assert.False(t, turn.Rest(7*sec, 20*sec, 0, false))
}

// However many callbacks come, they bring one query per second forward.
func TestTurn_OncePerSecond(t *testing.T) {
	t.Parallel()
	turn := new(schedule.Turn)
	var asked []time.Duration
	for now := time.Duration(0); now < 5*sec; now += 10 * time.Millisecond {
		if turn.Due() <= now {
			asked = append(asked, now)
			turn.Ask()
			turn.Rest(now, time.Hour, 0, false)
		}
		turn.Wake(now, now%(2*sec) < sec)
	}
	assert.Equal(t, []time.Duration{0, 10 * time.Millisecond, 1 * sec, 2 * sec, 3 * sec, 4 * sec}, asked, "the first one counts at once")
}

// A callback never makes a query later than it was, not even when it is one too many.
func TestTurn_WakeNeverDelays(t *testing.T) {
	t.Parallel()
	turn := new(schedule.Turn)
	turn.Ask()
	turn.Rest(0, time.Minute, 0, false)
	turn.Wake(10*sec, true)
	turn.Ask()
	turn.Rest(10*sec, 100*time.Millisecond, 0, false)
	assert.True(t, turn.Wake(10*sec, true), "the answer after it is still the one to learn from")
	assert.Equal(t, 10*sec+100*time.Millisecond, turn.Due())
	turn.Wake(20*sec, true)
	assert.Equal(t, 10*sec+100*time.Millisecond, turn.Due(), "overdue")
}

// After a failure a callback brings the next query forward, unless the server asked to be left alone.
func TestTurn_WakeAfterFailure(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ hold, want time.Duration }{
		"no Retry-After": {0, 12 * sec}, "Retry-After": {30 * sec, 40 * sec}, "Retry-After that has passed": {1 * sec, 12 * sec},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			turn := new(schedule.Turn)
			turn.Ask()
			turn.Rest(10*sec, 50*sec, tt.hold, true)
			turn.Wake(12*sec, true)
			assert.Equal(t, tt.want, turn.Due())
		})
	}
}

// A second answer does not shorten what the server asked for in the first.
func TestTurn_RetryAfterOutlastsTheNextAnswer(t *testing.T) {
	t.Parallel()
	turn := new(schedule.Turn)
	turn.Ask()
	turn.Rest(0, 40*sec, 40*sec, true)
	turn.Ask()
	turn.Rest(10*sec, time.Minute, sec, true)
	turn.Wake(20*sec, true)
	assert.Equal(t, 40*sec, turn.Due())
}

// Times that are kept in 32 bits are rounded up: a wait may last for years and cuts no pause short.
func TestTurn_LongWaits(t *testing.T) {
	t.Parallel()
	const hold = 40 * sec
	for _, now := range []time.Duration{time.Millisecond, time.Hour + 1, 1000*time.Hour + 7*time.Millisecond, 20_000*time.Hour + 333*time.Millisecond} {
		turn := new(schedule.Turn)
		turn.Ask()
		turn.Rest(now, 10*time.Minute, hold, true)
		turn.Wake(now, true)
		assert.GreaterOrEqual(t, turn.Due(), now+hold)
		assert.LessOrEqual(t, turn.Due(), now+hold+8*sec)
		turn.Ask()
		due := turn.Due()
		turn.Rest(due, time.Hour, 0, false)
		turn.Wake(due, true)
		assert.GreaterOrEqual(t, turn.Due(), due+sec)
	}
	turn := new(schedule.Turn)
	turn.Ask()
	turn.Rest(math.MaxInt64-schedule.Never, schedule.Never, schedule.Never, true)
	assert.Equal(t, time.Duration(math.MaxInt64), turn.Due(), "no overflow")
}

func TestTurn_IsSmall(t *testing.T) {
	t.Parallel()
	assert.LessOrEqual(t, unsafe.Sizeof(schedule.Turn{}), uintptr(24))
	assert.LessOrEqual(t, unsafe.Sizeof(schedule.PollState{}), uintptr(40))
}
