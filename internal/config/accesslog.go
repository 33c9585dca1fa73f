package config

// AccessLog says where each link request gets a line.
type AccessLog struct {
	// File gets a line of JSON for each link request; - is stdout. Default: nowhere.
	File string `koanf:"file"`
	// Refusals is how many lines a second refused requests get, those answered with 400
	// or more, or not at all; the rest of them is one line a second that counts them. 0
	// gives them none of their own. Default 100.
	Refusals int `koanf:"refusals" reload:"true"`
	// MaxAgent is how many bytes of a User-Agent are kept, 0 to 4096. Default 200.
	MaxAgent int `koanf:"max_agent" reload:"true"`
	// Queue is how many lines wait for the file at most; more are dropped and counted.
	// Default 10000.
	Queue int `koanf:"queue"`
}

func (a *AccessLog) validate(bad func(name, format string, args ...any)) {
	const mostAgent, mostRefusals, mostQueue = 4096, 1_000_000, 10_000_000
	if a.Refusals < 0 || a.Refusals > mostRefusals {
		bad("access_log.refusals", "must be 0 to %d, got %d", mostRefusals, a.Refusals)
	}
	if a.MaxAgent < 0 || a.MaxAgent > mostAgent {
		bad("access_log.max_agent", "must be 0 to %d, got %d", mostAgent, a.MaxAgent)
	}
	if a.Queue < 1 || a.Queue > mostQueue {
		bad("access_log.queue", "must be 1 to %d, got %d", mostQueue, a.Queue)
	}
}
