using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Support;

/// <summary>The rows of the theories: every op on every device, the missing ones included, in every type the op stores.</summary>
public static class CaseRows
{
    /// <summary>Ops to test, separated by commas; unset for all.</summary>
    public const string SelectionVariable = "KERNELS_TEST_OPS";

    /// <summary>Rows of what is for the CPU alone are there, and skipped, where it is not tested: what has none fails.</summary>
    private const string Cpu = "cpu";

    public static TheoryData<string, string, DType> All => Where(_ => true);

    /// <summary>
    /// Rows for what tests the checks, not the ops: what is compared, and how, is decided on the host by the type, so every type runs on
    /// the CPU, and on each other device one of the ops with tensors of a kind shows that its buffers and guard zones are seen.
    /// </summary>
    public static TheoryData<string, string, DType> Controls =>
    [
        .. from row in AllTypesOnTheCpu(TestDevices.All)
           where row.Data.Item1 == Cpu || OfEachKind.Value.Contains(row.Data.Item2)
           select row,
    ];

    /// <summary>
    /// Rows for what repeats: on other devices than the CPU, whose code differs by type, which work item does what when is the same
    /// whatever is stored.
    /// </summary>
    public static TheoryData<string, string, DType> OfOrders => AllTypesOnTheCpu(TestDevices.All.Reverse());

    /// <summary>
    /// All rows for what addresses decide, which on the machine for PTX float and a half type show for double.
    /// </summary>
    public static TheoryData<string, string, DType> OfTellingTypes => Telling(All);

    /// <summary>Ops with a problem for each length.</summary>
    public static TheoryData<string, string, DType> OfEveryLength => Where(op => op.OfLength(1) is not null);

    /// <summary>Ops that may write over an input.</summary>
    public static TheoryData<string, string, DType> InPlace =>
        Telling(Where(op => op.Problems.Any(problem => op.InPlacePairs(problem).Count > 0)));

    /// <summary>Ops that read floating-point values. Double is for verification, so the CPU's special values are enough for it.</summary>
    public static TheoryData<string, string, DType> WithFloatInputs =>
    [
        .. from row in Telling(Where(HasFloatInputs))
           where row.Data.Item3 != DType.Float64 || TestDevices.All.Single(device => device.Id == row.Data.Item1).Kind == DeviceKind.Cpu
           select row,
    ];

    /// <summary>For what tests the test of special values: the ops that have it and floats to lose them in, on the CPU.</summary>
    public static TheoryData<string, string> FloatsOnTheCpu =>
    [
        .. from op in Ops
           where op.DTypes.Contains(DType.Float32) && HasFloatInputs(op) && GivesFloats(op)
           select (Cpu, op.Op),
    ];

    /// <summary>
    /// The CPU and ops with a gradient. What other devices have in double is what the reference has to the last bits, and so what the CPU
    /// has, which central differences know to half as many.
    /// </summary>
    public static TheoryData<string, string> WithGradients =>
    [
        .. from op in Ops
           where op.Problems.Any(problem => op.ForwardOf(problem) is not null)
           select (Cpu, op.Op),
    ];

    public static TheoryData<string, string> DevicesAndOps => [.. from device in TestDevices.All from op in Ops select (device.Id, op.Op)];

    /// <summary>Devices and ops that take a random key.</summary>
    public static TheoryData<string, string> DevicesAndOpsWithKeys =>
        [.. from device in TestDevices.All from op in Ops where op.TakesKey select (device.Id, op.Op)];

    /// <summary>All ops, for what a call decides before it comes to a device.</summary>
    public static TheoryData<string> OpNames => [.. from op in Ops select op.Op];

    /// <summary>Devices and calls that must be refused.</summary>
    public static TheoryData<string, string, string> BadInputs =>
        [.. from device in TestDevices.All from op in Ops from bad in op.BadInputs select (device.Id, op.Op, bad.Name)];

    private static IReadOnlyList<OpCase> Ops { get; } =
        Environment.GetEnvironmentVariable(SelectionVariable) is { Length: > 0 } selection
            ? [.. OpCase.All.Where(op => selection.Split(',').Contains(op.Op))]
            : OpCase.All;

    private static readonly OpCase[] AllOps = [.. OpCase.All];

    /// <summary>One op for each set of roles and types that tensors of an op have.</summary>
    private static readonly Lazy<HashSet<string>> OfEachKind = new(() =>
    [
        .. from op in Ops
           let tensors = op.Problems.Where(CaseRun.IsSmall).SelectMany(problem => op.Tensors(problem, op.DTypes[0], 0))
           group op.Op by string.Join(' ', tensors.Select(spec => $"{spec.Role} {spec.DType}").Distinct().Order()) into kind
           select kind.First(),
    ]);

    public static OpCase Op(string name) => OpCase.All.Single(op => op.Op == name);

    private static bool HasFloatInputs(OpCase op) =>
        op.Problems.Any(problem => op.Tensors(problem, DType.Float32, 0).Any(ReadsFloats));

    private static bool GivesFloats(OpCase op) => op.Problems.Any(problem =>
        op.Tensors(problem, DType.Float32, 0).Any(spec => spec.Role != TensorRole.Input && spec.DType.IsFloat()));

    public static bool ReadsFloats(TensorSpec spec) => spec.Role != TensorRole.Output && spec.DType.IsFloat();

    /// <summary>On the machine for PTX not double: the texts are the same, and other devices run them in every type.</summary>
    private static TheoryData<string, string, DType> Telling(TheoryData<string, string, DType> rows) =>
        [.. from row in rows where row.Data.Item3 != DType.Float64 || !MachineDriver.Runs(row.Data.Item1) select row];

    private static TheoryData<string, string, DType> AllTypesOnTheCpu(IEnumerable<DeviceDescription> devices) =>
    [
        .. from device in devices
           from op in Ops
           from dtype in device.Kind == DeviceKind.Cpu ? op.DTypes : op.DTypes.Take(1)
           select (device.Id, op.Op, dtype),
    ];

    /// <summary>Devices that try the same follow one another, so that what is right is computed once for them.</summary>
    private static TheoryData<string, string, DType> Where(Func<OpCase, bool> matches) =>
    [
        .. from op in Ops
           where matches(op)
           from dtype in op.DTypes
           from device in TestDevices.All
           where IsRun(device, op, dtype)
           select (device.Id, op.Op, dtype),
    ];

    /// <summary>
    /// The CPU and GPUs by CUDA run every type. What is a half type's own stands in the headers of a dialect, the same for all ops: on
    /// OpenCL every other op runs in Half and the rest in bfloat16, on the machine for PTX the other way round, but for ops with texts for
    /// CUDA alone, which has both.
    /// </summary>
    private static bool IsRun(DeviceDescription device, OpCase op, DType dtype)
    {
        bool isMachine = MachineDriver.IsMachine(device);
        bool runsAll = isMachine ? HasTextForCuda(op) : device.Kind != DeviceKind.OpenCl;
        if (runsAll || dtype is not (DType.Float16 or DType.BFloat16)) return true;
        DType other = dtype == DType.Float16 ? DType.BFloat16 : DType.Float16;
        bool isHalf = (Array.IndexOf(AllOps, op) % 2 == 0) != isMachine;
        return !op.DTypes.Contains(other) || (dtype == DType.Float16) == isHalf;
    }

    private static bool HasTextForCuda(OpCase op) => KernelCatalog.All.Any(kernel =>
        !kernel.IsPortable && Path.GetFileName(kernel.File).Split('.')[0] == op.Op.Replace('-', '_'));
}
