package conns

// What is taken for the number of files that a process may have open where the system
// does not say, and where it says that there is no end.
const (
	fewDescriptors  = 4 * 8192
	manyDescriptors = 1 << 20
)

// leastPerNetwork is how many connections one network may have by default at least.
const leastPerNetwork = 100

// Default returns how many connections a listener may have where nobody has said it: a
// sixth of the files that this process may have open, since a download takes up to
// four of them, its connection, one to S3, and a pipe, and others are needed too.
func Default() int { return max(descriptors()/6, 1) }

// DefaultPerNetwork returns how many of most one network may have where nobody has said
// it: a tenth, or 100 if that is more.
func DefaultPerNetwork(most int) int { return max(most/10, leastPerNetwork) }
