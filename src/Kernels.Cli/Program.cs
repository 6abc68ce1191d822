using Kernels.Cli;

return await CommandLine.RunAsync(args);
