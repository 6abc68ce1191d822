using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Support;

/// <summary>The rows of the theories: every op on every device, the missing ones included, in every type the op stores.</summary>
public static class CaseRows
{
    /// <summary>Ops to test, separated by commas; unset for all.</summary>
    public const string SelectionVariable = "KERNELS_TEST_OPS";

    public static TheoryData<string, string, DType> All => Where(_ => true);

    /// <summary>
    /// The same, the last device first: of two theories side by side, one then does not wait for the compiler that the other one is using.
    /// </summary>
    public static TheoryData<string, string, DType> AllFromTheLastDevice => Where(_ => true, TestDevices.All.Reverse());

    /// <summary>
    /// Rows for what tests the checks, not the ops: what is compared, and how, is decided on the host by the type, so every type runs on
    /// the CPU, and one on each other device shows that its buffers and guard zones are seen.
    /// </summary>
    public static TheoryData<string, string, DType> Controls =>
    [
        .. from device in TestDevices.All
           from op in Ops
           from dtype in device.Kind == DeviceKind.Cpu ? op.DTypes : op.DTypes.Take(1)
           select (device.Id, op.Op, dtype),
    ];

    /// <summary>
    /// The same again for what addresses and the order of sums decide, which on the machine for PTX float and Half show for the other two.
    /// </summary>
    public static TheoryData<string, string, DType> OfTellingTypes => Telling(AllFromTheLastDevice);

    /// <summary>Ops with a problem for each length.</summary>
    public static TheoryData<string, string, DType> OfEveryLength => Where(op => op.OfLength(1) is not null);

    /// <summary>Ops that may write over an input.</summary>
    public static TheoryData<string, string, DType> InPlace =>
        Telling(Where(op => op.Problems.Any(problem => op.InPlacePairs(problem).Count > 0)));

    /// <summary>Ops that read floating-point values. Double is for verification, so the CPU's special values are enough for it.</summary>
    public static TheoryData<string, string, DType> WithFloatInputs =>
    [
        .. from row in Telling(Where(op => op.Problems.Any(problem => op.Tensors(problem, DType.Float32, 0).Any(ReadsFloats))))
           where row.Data.Item3 != DType.Float64 || TestDevices.All.Single(device => device.Id == row.Data.Item1).Kind == DeviceKind.Cpu
           select row,
    ];

    /// <summary>Devices and ops with a gradient.</summary>
    public static TheoryData<string, string> WithGradients =>
    [
        .. from device in TestDevices.All
           from op in Ops
           where op.Problems.Any(problem => op.ForwardOf(problem) is not null)
           select (device.Id, op.Op),
    ];

    public static TheoryData<string, string> DevicesAndOps => [.. from device in TestDevices.All from op in Ops select (device.Id, op.Op)];

    /// <summary>Devices and calls that must be refused.</summary>
    public static TheoryData<string, string, string> BadInputs =>
        [.. from device in TestDevices.All from op in Ops from bad in op.BadInputs select (device.Id, op.Op, bad.Name)];

    private static IReadOnlyList<OpCase> Ops { get; } =
        Environment.GetEnvironmentVariable(SelectionVariable) is { Length: > 0 } selection
            ? [.. OpCase.All.Where(op => selection.Split(',').Contains(op.Op))]
            : OpCase.All;

    public static OpCase Op(string name) => OpCase.All.Single(op => op.Op == name);

    public static bool ReadsFloats(TensorSpec spec) => spec.Role != TensorRole.Output && spec.DType.IsFloat();

    /// <summary>
    /// On the machine for PTX float, and Half, which alone the dialect of CUDA converts by instructions of its own: the texts are the same,
    /// and other devices run them in every type.
    /// </summary>
    private static TheoryData<string, string, DType> Telling(TheoryData<string, string, DType> rows) =>
    [
        .. from row in rows
           where row.Data.Item3 is DType.Float32 or DType.Float16 || !MachineDriver.Runs(row.Data.Item1)
           select row,
    ];

    private static TheoryData<string, string, DType> Where(Func<OpCase, bool> matches, IEnumerable<DeviceDescription>? devices = null) =>
    [
        .. from device in devices ?? TestDevices.All
           from op in Ops
           where matches(op)
           from dtype in op.DTypes
           select (device.Id, op.Op, dtype),
    ];
}
