using Kernels.Tests.Cpu;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Support;

/// <summary>One row of a theory: an op on a device in a type. Collects what fails, so that one failure does not hide the others.</summary>
internal sealed class CaseRun : IDisposable
{
    private const int MaximumShown = 8;

    /// <summary>
    /// Operations beyond which a problem is there for tensor cores, which leave less work to the kernels that all devices have.
    /// </summary>
    private const long MostFlops = 1 << 22;

    private readonly List<string> _failures = [];
    private readonly string _name;
    private readonly TrialShelf? _shelf;

    /// <summary>Opens the row; skips the test where the device is missing or cannot calculate in the type.</summary>
    public CaseRun(TestDevices devices, string deviceId, string op, DType dtype, TrialShelf? shelf = null)
        : this(devices, deviceId, CaseRows.Op(op), dtype) => _shelf = shelf;

    public CaseRun(TestDevices devices, string deviceId, OpCase op, DType dtype)
    {
        Device device = devices.Open(deviceId);
        Assert.SkipUnless(Verifier.Supports(device, dtype), $"{device} cannot calculate in {dtype.ShortName()}");
        Stream = device.CreateStream();
        Op = op;
        DType = dtype;
        _name = $"{deviceId} {op} {dtype.ShortName()}";
    }

    public DeviceStream Stream { get; }

    public OpCase Op { get; }

    public DType DType { get; }

    /// <summary>Problems that are cheap enough to be run dozens of times.</summary>
    public IEnumerable<Problem> SmallProblems =>
        Op.Problems.Where(problem => IsSmall(problem) && (problem.Flops <= MostFlops || HasTensorCores));

    /// <summary>
    /// All problems in the op's first type, the small ones in the others: a large one is there for its number of groups and its long
    /// indices, which the type has no part in. The machine for PTX takes the small ones alone.
    /// </summary>
    public IEnumerable<Problem> TellingProblems => DType == Op.DTypes[0] && !IsInterpreted ? Op.Problems : SmallProblems;

    /// <summary>
    /// As <see cref="TellingProblems"/>, on the machine for PTX the large ones too, and on the CPU in every type, whose code has loops of
    /// its own; not for narrower vectors, which are the same in the middle of a long loop as in a short one.
    /// </summary>
    public IEnumerable<Problem> AllProblems =>
        (DType == Op.DTypes[0] || Stream.Device.Kind == DeviceKind.Cpu) && !VectorWidthProbe.IsNarrowed ? Op.Problems : SmallProblems;

    /// <summary>True on the machine for PTX, which goes through a kernel instruction by instruction.</summary>
    public bool IsInterpreted => MachineDriver.Runs(Stream.Device);

    /// <summary>
    /// What the controls break: on the CPU in the first type every small problem, elsewhere one of each entry, as the comparison is the
    /// host's and only its way to the device's memory, and the type, is not.
    /// </summary>
    public Trial[] Controls =>
        [.. (Stream.Device.Kind == DeviceKind.Cpu && DType == Op.DTypes[0] ? SmallProblems : Largest()).Select(Try)];

    public static bool IsSmall(Problem problem) => problem.Bytes(elementBytes: 1) <= 1 << 15;

    public bool HasFailed => _failures.Count > 0;

    /// <summary>A problem of the op in this row's type.</summary>
    public Trial Try(Problem problem) => OnShelf(problem, "", () => new(Op, problem, DType));

    /// <summary>The same with other tensors.</summary>
    /// <param name="trial">Of this row.</param>
    /// <param name="variation">Names the change, as no other change of the problem is named.</param>
    /// <param name="change">Gives the tensor that takes a tensor's place.</param>
    public Trial Vary(Trial trial, string variation, Func<TensorSpec, TensorSpec> change) =>
        OnShelf(trial.Problem, variation, () => trial.With(change));

    /// <summary>Runs a problem and notes what differs from the reference.</summary>
    public void Verify(Trial trial, string situation = "", int elementOffset = 0, bool inPlace = false)
    {
        ProblemResult result = Verifier.Verify(Stream, trial, elementOffset, inPlace);
        if (!result.Passed) Fail(trial.Problem, situation, result.Failure ?? $"error {result.Error}");
    }

    public void Fail(Problem problem, string situation, string failure) => _failures.Add($"{problem} {situation}: {failure}");

    public void AssertNoFailures() => Assert.True(
        _failures.Count == 0, $"{_name}: {_failures.Count} failures\n{string.Join('\n', _failures.Take(MaximumShown))}");

    public void Dispose() => Stream.Dispose();

    private Trial OnShelf(Problem problem, string variation, Func<Trial> make) =>
        _shelf is null ? make() : _shelf.Get(Op, problem, DType, variation, make);

    private bool HasTensorCores => Stream.Device.Kind == DeviceKind.Cuda && DType is DType.Float16 or DType.BFloat16;

    private IEnumerable<Problem> Largest() =>
        SmallProblems.GroupBy(problem => problem.Entry).Select(entry => entry.MaxBy(problem => problem.Bytes(1))!);
}
