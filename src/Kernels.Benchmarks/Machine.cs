using System.Runtime.InteropServices;

namespace Kernels.Benchmarks;

/// <summary>The machine that numbers were measured on.</summary>
internal static class Machine
{
    /// <summary>Processor, hardware threads, operating system and runtime.</summary>
    public static string Describe() =>
        $"{Processor()}, {Environment.ProcessorCount} hardware threads · {RuntimeInformation.OSDescription} · " +
        $"{RuntimeInformation.FrameworkDescription}";

    private static string Processor()
    {
        const string ModelName = "model name";
        try
        {
            string? line = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith(ModelName, StringComparison.Ordinal));
            if (line is not null) return line[(line.IndexOf(':') + 1)..].Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Not a Linux; said below.
        }

        return Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? RuntimeInformation.ProcessArchitecture.ToString();
    }
}
