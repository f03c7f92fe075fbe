package schedule_test

import (
	"testing"

	"github.com/vidu-go/vidu/internal/schedule"
)

// BenchmarkSchedule_1000Gaps measures what the schedule itself adds to a thousand polls, of a class that is known well.
func BenchmarkSchedule_1000Gaps(b *testing.B) {
	p := steady()
	var s schedule.PollState
	for range 300 {
		p.create(job{ID: "1"}, false)
		s, _ = p.Begin("1")
		p.answerWoken(&s, job{Phase: schedule.Succeeded})
	}
	p.create(job{ID: "1"}, false)
	s, _ = p.Begin("1")
	task := job{Phase: schedule.Processing}
	b.ReportAllocs()
	for b.Loop() {
		for range 1000 {
			p.answer(&s, task)
			_ = p.Gap(&s)
		}
	}
}
