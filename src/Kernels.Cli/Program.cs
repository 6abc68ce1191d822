using Kernels;
using Kernels.Cli;

// Open MPI gives its processes a terminal for standard output, and .NET greets terminals with a sequence of control characters, which would
// stand in front of what --json prints.
if (Collectives.LaunchedByMpi) Environment.SetEnvironmentVariable("TERM", "dumb");

return await CommandLine.RunAsync(args);
