using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Theories;

/// <summary>
/// Every op on every device in every type gives what the scalar reference gives, whatever the length and the alignment. Each run also
/// checks the guard zones around its tensors, that outputs were written to their last element, and that inputs were not.
/// </summary>
public abstract class ReferenceTheory<TShare>(TestDevices devices)
    where TShare : IShare
{
    /// <summary>Beyond the widest step of any kernel: 256 elements are four draws of the CPU's generator and a work group.</summary>
    private const int LongestLength = 257;

    /// <summary>
    /// For devices with slow launches: the neighbours of multiples of the vector widths, the Philox block and the work group.
    /// </summary>
    private static readonly int[] TellingLengths =
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257];

    private static readonly int[] EveryOffset = [.. Enumerable.Range(1, 15)];

    private static readonly TrialShelf Shelf = new();

    public static TheoryData<string, string, DType> Problems => Share.Of<TShare>(CaseRows.All);

    public static TheoryData<string, string, DType> Lengths => Share.Of<TShare>(CaseRows.OfEveryLength);

    public static TheoryData<string, string, DType> Offsets => Share.Of<TShare>(CaseRows.OfTellingTypes);

    public static TheoryData<string, string, DType> InPlaceRows => Share.Of<TShare>(CaseRows.InPlace);

    [Theory]
    [MemberData(nameof(Problems))]
    public void EveryProblem_Matches(string deviceId, string op, DType dtype)
    {
        using CaseRun run = new(devices, deviceId, op, dtype, Shelf);
        foreach (Problem problem in run.AllProblems) run.Verify(run.Try(problem));
        run.AssertNoFailures();
    }

    [Theory]
    [MemberData(nameof(Lengths))]
    public void EveryLength_Matches(string deviceId, string op, DType dtype)
    {
        using CaseRun run = new(devices, deviceId, op, dtype, Shelf);
        foreach (int length in IsFast(run) ? Enumerable.Range(0, LongestLength + 1) : TellingLengths)
            run.Verify(run.Try(run.Op.OfLength(length)!));
        run.AssertNoFailures();
    }

    [Theory]
    [MemberData(nameof(Offsets))]
    public void EveryElementOffset_Matches(string deviceId, string op, DType dtype)
    {
        using CaseRun run = new(devices, deviceId, op, dtype, Shelf);
        int[] offsets = TellingOffsets(dtype);
        int turn = (int)dtype + (run.IsInterpreted ? 1 : 0);
        foreach (Trial trial in run.SmallProblems.Select(run.Try))
        {
            // What an address decides, the host decides by bytes, alike for every device that compiles the texts: those share the offsets
            // out among them, among their types and among neighbouring problems.
            int[] chosen = IsFast(run) ? offsets : [offsets[turn++ % offsets.Length]];
            foreach (int offset in chosen) run.Verify(trial, $"{offset} elements off", offset);
        }

        // A tail of each length behind a head of each length.
        foreach (int offset in IsFast(run) ? EveryOffset : offsets)
        {
            if (run.Op.OfLength(LongestLength - offset) is { } tail) run.Verify(run.Try(tail), $"{offset} elements off", offset);
        }

        run.AssertNoFailures();
    }

    [Theory]
    [MemberData(nameof(InPlaceRows))]
    public void InPlace_GivesTheBitsOfOutOfPlace(string deviceId, string op, DType dtype)
    {
        using CaseRun run = new(devices, deviceId, op, dtype, Shelf);
        foreach (Trial trial in run.TellingProblems.Where(problem => run.Op.InPlacePairs(problem).Count > 0).Select(run.Try))
        {
            byte[] outOfPlace = Verifier.OutputBytes(run.Stream, trial), inPlace = Verifier.OutputBytes(run.Stream, trial, inPlace: true);
            if (!inPlace.AsSpan().SequenceEqual(outOfPlace)) run.Fail(trial.Problem, "in place", "the bits differ");
        }

        run.AssertNoFailures();
    }

    /// <summary>
    /// Odd, both sides of 16 bytes, and 4, at which only the tensors of 4-byte elements of an op of 2-byte or 8-byte elements are as they
    /// were.
    /// </summary>
    private static int[] TellingOffsets(DType dtype)
    {
        int vector = 16 / dtype.SizeInBytes();
        return [.. new[] { 1, vector - 1, vector, 4 }.Distinct()];
    }

    private static bool IsFast(CaseRun run) => run.Stream.Device.Kind == DeviceKind.Cpu;
}

public sealed class ReferenceTheoryOfEvenRows(TestDevices devices) : ReferenceTheory<EvenPlaces>(devices);

public sealed class ReferenceTheoryOfOddRows(TestDevices devices) : ReferenceTheory<OddPlaces>(devices);
