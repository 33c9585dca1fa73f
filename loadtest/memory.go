package loadtest

// What the memory of the watched processes may grow by from the end of a run's first
// third to its end: a quarter, and never less than 32 MiB. The first third is for
// pools that fill.
const (
	memoryGrowth = 4
	memorySlack  = 32 << 20
	memoryShort  = 9 // seconds: of a shorter run nothing can be said
)

// holdMemory looks whether memory has grown.
func holdMemory(c *checks, timeline []Second) {
	if len(timeline) < memoryShort {
		return
	}
	early, late := timeline[len(timeline)/3].Memory, timeline[len(timeline)-1].Memory
	allowed := max(early/memoryGrowth, memorySlack)
	c.hold(flatMemory, late-early <= allowed, "from %d MiB to %d MiB", early>>20, late>>20)
}
