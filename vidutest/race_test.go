//go:build race

package vidutest_test

func init() { raceDetector = true }
