using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Kernels.Native;

/// <summary>
/// Optimizers over a whole list of parameters: one launch updates them all. Parameters and gradients stay the caller's, and their memory
/// must live as long as the optimizer; all have one data type. A step can be captured: step counts, bias corrections and the decision to
/// skip are made on the device.
/// </summary>
public static unsafe class OptimizerExports
{
    private static readonly nint[] StateNames =
        [.. new[]
        {
            OptimizerState.Velocity, OptimizerState.FirstMoment, OptimizerState.SecondMoment, OptimizerState.LargestSecondMoment,
            OptimizerState.MeanGradient, OptimizerState.MasterCopy, OptimizerState.AverageWeight,
        }.Select(Marshal.StringToCoTaskMemUTF8)];

    /// <summary>Makes an Adam optimizer.</summary>
    /// <param name="device">Device of all tensors.</param>
    /// <param name="groups">Parameters and gradients.</param>
    /// <param name="options">For each group its options.</param>
    /// <param name="groupCount">How many groups there are.</param>
    /// <param name="settings">Settings of the whole.</param>
    /// <param name="optimizer">Gets the handle.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_adam_create")]
    public static Status AdamCreate(
        CDevice device, CParameterGroup* groups, CAdamOptions* options, long groupCount, [AllowNull] COptimizerSettings* settings,
        [Out] COptimizer* optimizer) => Failure.Guard(() => Create<AdamOptions>(
            "adam_create", device, groups, i => CAdamOptions.From(null, &options[i]), options, groupCount, settings, optimizer));

    /// <summary>Changes the options of a group from the next step on.</summary>
    /// <param name="optimizer">An Adam optimizer.</param>
    /// <param name="group">Which group.</param>
    /// <param name="options">Its options.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_adam_set_options")]
    public static Status AdamSetOptions(COptimizer optimizer, int group, CAdamOptions* options) => Failure.Guard(() =>
        SetOptions(optimizer, group, CAdamOptions.From(null, options)));

    /// <summary>Makes an AdamW optimizer.</summary>
    /// <param name="device">Device of all tensors.</param>
    /// <param name="groups">Parameters and gradients.</param>
    /// <param name="options">For each group its options.</param>
    /// <param name="groupCount">How many groups there are.</param>
    /// <param name="settings">Settings of the whole.</param>
    /// <param name="optimizer">Gets the handle.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_adamw_create")]
    public static Status AdamWCreate(
        CDevice device, CParameterGroup* groups, CAdamWOptions* options, long groupCount, [AllowNull] COptimizerSettings* settings,
        [Out] COptimizer* optimizer) => Failure.Guard(() => Create<AdamWOptions>(
            "adamw_create", device, groups, i => CAdamWOptions.From(null, &options[i]), options, groupCount, settings, optimizer));

    /// <summary>Changes the options of a group from the next step on.</summary>
    /// <param name="optimizer">An AdamW optimizer.</param>
    /// <param name="group">Which group.</param>
    /// <param name="options">Its options.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_adamw_set_options")]
    public static Status AdamWSetOptions(COptimizer optimizer, int group, CAdamWOptions* options) => Failure.Guard(() =>
        SetOptions(optimizer, group, CAdamWOptions.From(null, options)));

    /// <summary>Makes a Lion optimizer.</summary>
    /// <param name="device">Device of all tensors.</param>
    /// <param name="groups">Parameters and gradients.</param>
    /// <param name="options">For each group its options.</param>
    /// <param name="groupCount">How many groups there are.</param>
    /// <param name="settings">Settings of the whole.</param>
    /// <param name="optimizer">Gets the handle.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_lion_create")]
    public static Status LionCreate(
        CDevice device, CParameterGroup* groups, CLionOptions* options, long groupCount, [AllowNull] COptimizerSettings* settings,
        [Out] COptimizer* optimizer) => Failure.Guard(() => Create<LionOptions>(
            "lion_create", device, groups, i => CLionOptions.From(null, &options[i]), options, groupCount, settings, optimizer));

    /// <summary>Changes the options of a group from the next step on.</summary>
    /// <param name="optimizer">A Lion optimizer.</param>
    /// <param name="group">Which group.</param>
    /// <param name="options">Its options.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_lion_set_options")]
    public static Status LionSetOptions(COptimizer optimizer, int group, CLionOptions* options) => Failure.Guard(() =>
        SetOptions(optimizer, group, CLionOptions.From(null, options)));

    /// <summary>Makes an RMSprop optimizer.</summary>
    /// <param name="device">Device of all tensors.</param>
    /// <param name="groups">Parameters and gradients.</param>
    /// <param name="options">For each group its options.</param>
    /// <param name="groupCount">How many groups there are.</param>
    /// <param name="settings">Settings of the whole.</param>
    /// <param name="optimizer">Gets the handle.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_rms_prop_create")]
    public static Status RmsPropCreate(
        CDevice device, CParameterGroup* groups, CRmsPropOptions* options, long groupCount, [AllowNull] COptimizerSettings* settings,
        [Out] COptimizer* optimizer) => Failure.Guard(() => Create<RmsPropOptions>(
            "rms_prop_create", device, groups, i => CRmsPropOptions.From(null, &options[i]), options, groupCount, settings, optimizer));

    /// <summary>Changes the options of a group from the next step on.</summary>
    /// <param name="optimizer">An RMSprop optimizer.</param>
    /// <param name="group">Which group.</param>
    /// <param name="options">Its options.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_rms_prop_set_options")]
    public static Status RmsPropSetOptions(COptimizer optimizer, int group, CRmsPropOptions* options) => Failure.Guard(() =>
        SetOptions(optimizer, group, CRmsPropOptions.From(null, options)));

    /// <summary>Makes an optimizer by gradient descent, with or without momentum.</summary>
    /// <param name="device">Device of all tensors.</param>
    /// <param name="groups">Parameters and gradients.</param>
    /// <param name="options">For each group its options.</param>
    /// <param name="groupCount">How many groups there are.</param>
    /// <param name="settings">Settings of the whole.</param>
    /// <param name="optimizer">Gets the handle.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_sgd_create")]
    public static Status SgdCreate(
        CDevice device, CParameterGroup* groups, CSgdOptions* options, long groupCount, [AllowNull] COptimizerSettings* settings,
        [Out] COptimizer* optimizer) => Failure.Guard(() => Create<SgdOptions>(
            "sgd_create", device, groups, i => CSgdOptions.From(null, &options[i]), options, groupCount, settings, optimizer));

    /// <summary>Changes the options of a group from the next step on.</summary>
    /// <param name="optimizer">An optimizer by gradient descent.</param>
    /// <param name="group">Which group.</param>
    /// <param name="options">Its options.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_sgd_set_options")]
    public static Status SgdSetOptions(COptimizer optimizer, int group, CSgdOptions* options) => Failure.Guard(() =>
        SetOptions(optimizer, group, CSgdOptions.From(null, options)));

    /// <summary>Queues one step of all parameters.</summary>
    /// <param name="optimizer">The optimizer.</param>
    /// <param name="stream">Queue to run in.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_optimizer_step")]
    public static Status Step(COptimizer optimizer, CStream stream) =>
        Failure.Guard(() => Get(optimizer).Step(Arguments.Stream(stream).Stream));

    /// <summary>
    /// Queues setting the number of steps taken, so that training goes on from loaded state with the same bits; 0 forgets all state. Load
    /// the parameters, then the state, then resume.
    /// </summary>
    /// <param name="optimizer">The optimizer.</param>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="steps">Steps taken.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_optimizer_resume")]
    public static Status Resume(COptimizer optimizer, CStream stream, ulong steps) =>
        Failure.Guard(() => Get(optimizer).Resume(Arguments.Stream(stream).Stream, steps));

    /// <summary>
    /// Queues forgetting all averages of weights: each begins anew at the next step. For parameters that another library wrote.
    /// </summary>
    /// <param name="optimizer">The optimizer.</param>
    /// <param name="stream">Queue to run in.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_optimizer_restart_averages")]
    public static Status RestartAverages(COptimizer optimizer, CStream stream) =>
        Failure.Guard(() => Get(optimizer).RestartAverages(Arguments.Stream(stream).Stream));

    /// <summary>
    /// The 2-norm of all gradients at the last step, loss scale taken off and before clipping; 0 when no setting needs it. Waits.
    /// </summary>
    /// <param name="optimizer">The optimizer.</param>
    /// <param name="stream">The stream of the step.</param>
    /// <param name="norm">Gets the norm.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_optimizer_gradient_norm")]
    public static Status GradientNorm(COptimizer optimizer, CStream stream, [Out] double* norm) => Failure.Guard(() =>
    {
        Arguments.Result(norm, "optimizer_gradient_norm", nameof(norm));
        *norm = Get(optimizer).ReadGradientNorm(Arguments.Stream(stream).Stream);
    });

    /// <summary>The name of one of the things that are kept for each parameter.</summary>
    /// <param name="optimizer">The optimizer.</param>
    /// <param name="index">Which one, from 0.</param>
    /// <param name="name">Gets a constant, or NULL past the last.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_optimizer_state_name")]
    public static Status StateName(COptimizer optimizer, int index, [Out] byte** name) => Failure.Guard(() =>
    {
        Arguments.Result(name, "optimizer_state_name", nameof(name));
        IReadOnlyList<string> names = Get(optimizer).StateNames;
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        *name = index >= names.Count ? null : Constant(names[index]);
    });

    /// <summary>The state under a name for one parameter, in the parameter's shape, to read, save or load.</summary>
    /// <param name="optimizer">The optimizer.</param>
    /// <param name="name">A name that kernels_optimizer_state_name gives.</param>
    /// <param name="parameter">The parameter's place, counted through all groups.</param>
    /// <param name="state">Gets a view: FLOAT32, or FLOAT64 for FLOAT64 parameters; valid as long as the optimizer.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_optimizer_state")]
    public static Status State(COptimizer optimizer, byte* name, int parameter, [Out] CTensor* state) => Failure.Guard(() =>
    {
        const string Op = "optimizer_state";
        Arguments.Result(name, Op, nameof(name));
        Arguments.Result(state, Op, nameof(state));
        Get(optimizer).ShowState(Arguments.Text(name)!, parameter, state);
    });

    /// <summary>Two UINT64 on the device: steps taken and steps skipped.</summary>
    /// <param name="optimizer">The optimizer.</param>
    /// <param name="counts">Gets a view, valid as long as the optimizer.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_optimizer_step_counts")]
    public static Status StepCounts(COptimizer optimizer, [Out] CTensor* counts) => Failure.Guard(() =>
    {
        Arguments.Result(counts, "optimizer_step_counts", nameof(counts));
        Get(optimizer).ShowStepCounts(counts);
    });

    /// <summary>For each parameter a UINT32: how many of its elements were exactly 0 after the last step.</summary>
    /// <param name="optimizer">An optimizer whose settings count zeros.</param>
    /// <param name="counts">Gets a view, valid as long as the optimizer.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_optimizer_zero_counts")]
    public static Status ZeroCounts(COptimizer optimizer, [Out] CTensor* counts) => Failure.Guard(() =>
    {
        Arguments.Result(counts, "optimizer_zero_counts", nameof(counts));
        Get(optimizer).ShowZeroCounts(counts);
    });

    /// <summary>Frees an optimizer and its state.</summary>
    /// <param name="optimizer">The optimizer.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_optimizer_free")]
    public static Status Free([AllowNull] COptimizer optimizer) =>
        Failure.Guard(() => Handles.Remove<OptimizerEntry>(optimizer.Value, nameof(optimizer)));

    private static OptimizerEntry Get(COptimizer optimizer) => Handles.Get<OptimizerEntry>(optimizer.Value, nameof(optimizer));

    private static byte* Constant(string name)
    {
        foreach (nint constant in StateNames)
        {
            if (Marshal.PtrToStringUTF8(constant) == name) return (byte*)constant;
        }

        throw new NotSupportedException($"optimizer_state_name: {name} is new.");
    }

    private static void SetOptions<TOptions>(COptimizer optimizer, int group, TOptions options)
        where TOptions : OptimizerOptions
    {
        OptimizerEntry<TOptions> entry = Handles.Get<OptimizerEntry<TOptions>>(optimizer.Value, nameof(optimizer));
        if (options is null) throw new ArgumentNullException(nameof(options), "optimizer_set_options: options is NULL.");
        if (group < 0 || group >= entry.GroupCount)
        {
            throw new ArgumentOutOfRangeException(
                nameof(group), group, $"optimizer_set_options: there are {entry.GroupCount} groups.");
        }

        entry.SetOptions(group, options);
    }

    private static void Create<TOptions>(
        string op, CDevice device, CParameterGroup* groups, Func<long, TOptions> optionsOf, void* options, long groupCount,
        COptimizerSettings* settings, COptimizer* optimizer)
        where TOptions : OptimizerOptions
    {
        Arguments.Result(optimizer, op, nameof(optimizer));
        *optimizer = default;
        DeviceEntry owner = Arguments.Device(device);
        ReadOnlySpan<CParameterGroup> list = Arguments.Span(groups, groupCount, op, nameof(groups));
        if (groupCount > 0) Arguments.Result(options, op, nameof(options));
        OptimizerSettings whole = COptimizerSettings.From(owner, settings) ?? new OptimizerSettings();
        DType type = DType.Float32;
        foreach (CParameterGroup group in list)
        {
            if (group.Count == 0) continue;
            type = Arguments.TypeOfAll(group.Parameters, group.Count, op, "parameters");
            break;
        }

        OptimizerEntry entry = type switch
        {
            DType.Float32 => Make<float>(list),
            DType.Float16 => Make<Half>(list),
            DType.BFloat16 => Make<BFloat16>(list),
            DType.Float64 => Make<double>(list),
            _ => throw Arguments.NoSuchTypes(op, "parameters", type),
        };
        *optimizer = new COptimizer(Handles.Add(entry));

        OptimizerEntry Make<T>(ReadOnlySpan<CParameterGroup> list)
            where T : unmanaged
        {
            ParameterGroup<T, TOptions>[] made = new ParameterGroup<T, TOptions>[list.Length];
            for (int i = 0; i < made.Length; i++)
            {
                made[i] = new ParameterGroup<T, TOptions>(
                    Arguments.Tensors<T>(owner, list[i].Parameters, list[i].Count, op, "parameters"),
                    Arguments.Tensors<T>(owner, list[i].Gradients, list[i].Count, op, "gradients"), optionsOf(i));
            }

            return new OptimizerEntry<T, TOptions>(RuleOf(owner.Device, made, whole), made.Length);
        }
    }

    /// <summary>The optimizer that takes these options.</summary>
    private static Optimizer<T, TOptions> RuleOf<T, TOptions>(
        Device device, ParameterGroup<T, TOptions>[] groups, OptimizerSettings settings)
        where T : unmanaged
        where TOptions : OptimizerOptions
    {
        object optimizer = (object)groups switch
        {
            ParameterGroup<T, AdamOptions>[] adam => new Adam<T>(device, adam, settings),
            ParameterGroup<T, AdamWOptions>[] adamW => new AdamW<T>(device, adamW, settings),
            ParameterGroup<T, LionOptions>[] lion => new Lion<T>(device, lion, settings),
            ParameterGroup<T, RmsPropOptions>[] rmsProp => new RmsProp<T>(device, rmsProp, settings),
            ParameterGroup<T, SgdOptions>[] sgd => new Sgd<T>(device, sgd, settings),
            _ => throw new NotSupportedException($"there is no optimizer with {typeof(TOptions).Name}"),
        };
        return (Optimizer<T, TOptions>)optimizer;
    }
}
