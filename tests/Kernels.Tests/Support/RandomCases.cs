using System.Globalization;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.FSharp.Core;
using Xunit;

namespace Kernels.Tests.Support;

/// <summary>
/// Runs a property over random cases. The seed is new in each run and is printed; setting KERNELS_TEST_SEED to it repeats the run, and a
/// failure shows the smallest case that fails.
/// </summary>
internal static class RandomCases
{
    private const string SeedVariable = "KERNELS_TEST_SEED";
    private const int CasesOnCpu = 100;

    /// <summary>Launches are slower there, and the CPU has had its hundred.</summary>
    private const int CasesElsewhere = 10;

    private static readonly ulong Seed = Environment.GetEnvironmentVariable(SeedVariable) is { Length: > 0 } text
        ? ulong.Parse(text, CultureInfo.InvariantCulture)
        : (ulong)Random.Shared.NextInt64();

    /// <summary>Checks that <paramref name="holds"/> asserts nothing wrong of any case.</summary>
    /// <param name="device">Where the property runs; sets the number of cases.</param>
    /// <param name="cases">Random cases.</param>
    /// <param name="shrink">Simpler cases than a given one.</param>
    /// <param name="holds">Asserts the property.</param>
    public static void Check<T>(Device device, Gen<T> cases, Func<T, IEnumerable<T>> shrink, Action<T> holds) =>
        Check(device.Kind == DeviceKind.Cpu ? CasesOnCpu : CasesElsewhere, cases, shrink, holds);

    /// <summary>As the other overload, for what runs on no device.</summary>
    public static void Check<T>(int count, Gen<T> cases, Func<T, IEnumerable<T>> shrink, Action<T> holds)
    {
        string replay = $"{SeedVariable}={Seed}";
        TestContext.Current.TestOutputHelper?.WriteLine(replay);
        Config config = Config.QuickThrowOnFailure
            .WithQuietOnSuccess(true)
            .WithMaxTest(count)
            .WithReplay(new FSharpOption<Replay>(new Replay(new Rnd(Seed), FSharpOption<int>.None)));
        try
        {
            FsCheck.Check.One(config, Prop.ForAll(Arb.From(cases, shrink), holds));
        }
        catch (Exception e)
        {
            Assert.Fail($"{e.Message}\nTo repeat: {replay}");
        }
    }

    /// <summary>Any 64 bits.</summary>
    public static Gen<ulong> UInt64 { get; } =
        Gen.Choose(0, int.MaxValue).Three().Select(parts => ((ulong)parts.Item1 << 33) ^ ((ulong)parts.Item2 << 16) ^ (ulong)parts.Item3);

    /// <summary>Lengths of which half lie around powers of two, where vectors, blocks and chunks end.</summary>
    public static Gen<int> Length(int maximum) => Gen.OneOf(
        Gen.Choose(0, maximum),
        Gen.Choose(0, (int)Math.Log2(maximum - 1)).Zip(Gen.Choose(-1, 1), (power, step) => Math.Min(maximum, (1 << power) + step)));

    /// <summary>Smaller values of a length.</summary>
    public static IEnumerable<int> Shorter(int length) => length > 0 ? ((int[])[0, length / 2, length - 1]).Distinct() : [];
}
