using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kernels.Cpu;
using Kernels.Devices;

namespace Kernels;

/// <summary>
/// An optimizer over a whole list of parameters: one launch updates them all, in one pass over memory, whatever their number, sizes and
/// alignment.
/// </summary>
/// <typeparam name="T">Stored type of parameters and gradients: float, Half, BFloat16 or double. State is float, or double for
/// double.</typeparam>
/// <typeparam name="TOptions">Options of a group of parameters.</typeparam>
/// <remarks>
/// <para>
/// A step goes over each weight w with its gradient g, rate r and the options of its group. The gradient becomes g = clip * g / lossScale +
/// coupled decay * w + subgradient L1 * sign(w). The rule moves the weight: w = rule(w * (1 - r * decoupled decay), g). Proximal steps
/// follow: w = sign(w) * max(|w| - r * proximal L1, 0) / (1 + r * proximal decay). Rows longer than the maximum norm are scaled to it. The
/// average takes its share of w. Arithmetic is in float (double for double) with one rounding into the parameter; a projected row of a half
/// type without a master copy is rounded twice.
/// </para>
/// <para>
/// All that changes from step to step (step count, bias corrections, clipping factor, the decision to skip) is made on the device: in the
/// pass itself, and what follows from all gradients in launches before it. So a captured graph of <see cref="Step"/> goes on in every
/// replay, with the options of the capture. Nothing waits. On OpenCL a launch reaches one pair of buffers: parameters made by one <see
/// cref="Device.AllocateBuffer"/> and cut into views are one launch, separately allocated ones one each.
/// </para>
/// <para>
/// Master copies and averages never hide a parameter that someone else wrote. A half-precision parameter that its master copy does not
/// round to takes the copy's place at the next step. An average begins anew when a stream uploads, copies, fills or restores its parameter;
/// for writes by kernels and other libraries there is <see cref="RestartAverages"/>.
/// </para>
/// <para>
/// Norms are right wherever they can be stored, although squares overflow or vanish. What NaN and infinities do is written in
/// <c>kernels/docs/optimizers.md</c>. Empty lists and empty tensors are valid. The optimizer keeps no parameter alive: dispose it before
/// them; a step after a parameter was disposed throws <see cref="ObjectDisposedException"/>.
/// </para>
/// </remarks>
public abstract class Optimizer<T, TOptions> : IDisposable
    where T : unmanaged
    where TOptions : OptimizerOptions
{
    private readonly string _op;
    private readonly KernelDefinition<OptimizerStepArguments> _kernel;
    private readonly OptimizerSettings _settings;
    private readonly TOptions[] _options;
    private readonly IReadOnlyList<DeviceTensor<T>> _parameters;
    private readonly TensorTable<T> _table;
    private readonly string[] _roles;
    private readonly RealBuffer<T> _state;
    private readonly RealBuffer<T> _groupOptions;
    private readonly RealBuffer<T> _progress;
    private readonly DeviceTensor<ulong> _counts;
    private readonly DeviceTensor<uint> _finished;
    private readonly DeviceTensor<uint>? _zeros;
    private readonly Lock _lock = new();
    private long _version = 1;
    private long _uploadedVersion;
    private bool _isInGraph;
    private bool _isDisposed;

    private protected Optimizer(
        string op, Device device, IReadOnlyList<ParameterGroup<T, TOptions>> groups, OptimizerSettings? settings,
        KernelDefinition<OptimizerStepArguments> kernel, Func<IReadOnlyList<TOptions>, string?[]> ruleRoles)
    {
        Check.NotNull(op, device, nameof(device));
        Check.NotNull(op, groups, nameof(groups));
        (_op, _kernel, _settings) = (op, kernel, settings ?? new OptimizerSettings());
        RealBuffer<T>.CheckStored(op, device);
        _settings.Validate(op);
        CheckInArithmetic(_settings.MaximumGradientNorm, nameof(_settings.MaximumGradientNorm));
        CheckInArithmetic(_settings.LossScale, nameof(_settings.LossScale));
        CheckInArithmetic(1 / _settings.LossScale, nameof(_settings.LossScale));
        foreach (ParameterGroup<T, TOptions> group in groups)
        {
            if (group is not { Parameters: not null, Gradients: not null, Options: not null })
            {
                throw new ArgumentNullException(
                    nameof(groups), $"{op}: a group, or its parameters, its gradients or its options are null.");
            }

            if (group.Parameters.Count != group.Gradients.Count)
            {
                throw new ArgumentException(
                    $"{op}: a group has {group.Parameters.Count} parameters and {group.Gradients.Count} gradients.", nameof(groups));
            }

            CheckOptions(group.Options);
        }

        CheckDeviceNumber(device, _settings.DeviceLossScale, nameof(_settings.DeviceLossScale), 1);
        CheckDeviceNumber(device, _settings.DeviceLearningRates, nameof(_settings.DeviceLearningRates), groups.Count);
        _options = [.. groups.Select(group => group.Options)];
        _parameters = [.. groups.SelectMany(group => group.Parameters)];
        if (_settings.CountsZeros && _parameters.Any(parameter => parameter?.Length > uint.MaxValue))
            throw new ArgumentException($"{op}: zeros are counted in 32 bits, and a parameter has more elements.", nameof(settings));
        uint[] groupOf = [.. groups.SelectMany((group, index) => Enumerable.Repeat((uint)index, group.Parameters.Count))];
        _table = new TensorTable<T>(
            op, device, _parameters, "parameters", [.. groups.SelectMany(group => group.Gradients)], "gradients", groupOf, i =>
                TileLength(i, groupOf));
        CheckNotUpdated(_settings.DeviceLossScale, nameof(_settings.DeviceLossScale));
        CheckNotUpdated(_settings.DeviceLearningRates, nameof(_settings.DeviceLearningRates));
        string?[] own = ruleRoles(_options);
        RuleRoles =
            [.. own.Select(role =>
                role is null ? OptimizerKernels.NoRole : (uint)own.TakeWhile(other => other != role).Count(other => other is not null))];
        _roles =
        [
            .. own.OfType<string>(),
            .. _settings.KeepsMasterCopy && Unsafe.SizeOf<T>() == 2 ? [OptimizerState.MasterCopy] : Array.Empty<string>(),
            .. _settings.AverageDecay is null ? Array.Empty<string>() : [OptimizerState.AverageWeight],
        ];
        try
        {
            _state = new RealBuffer<T>(device, _roles.Length * _table.FlatLength);
            _groupOptions = new RealBuffer<T>(device, WordsOf<GroupOptions<double>>(_options.Length));
            _progress = new RealBuffer<T>(device, WordsOf<StepProgress<double>>(1));
            _counts = device.Upload<ulong>([0, 0], 2);
            _finished = device.Upload<uint>([0], 1);
            _zeros = _settings.CountsZeros ? device.Upload<uint>(new uint[_parameters.Count], _parameters.Count) : null;
            using DeviceStream stream = device.CreateStream();
            _state.Fill(stream, 0, _state.Length, 0);
            // What holds where nothing prepares a step.
            StepProgress<double> progress = new() { GradientScale = 1, GradientFactor = 1 / _settings.LossScale };
            _progress.Upload(stream, MemoryMarshal.Cast<StepProgress<double>, double>(new ReadOnlySpan<StepProgress<double>>(in progress)));
            if (_settings.AverageDecay is not null) RestartAverages(stream);
            stream.Synchronize();
        }
        catch
        {
            Dispose();
            throw;
        }

        if (_settings.AverageDecay is not null) ListenToWrites();
    }

    /// <summary>Names of what is kept for each parameter.</summary>
    public IReadOnlyList<string> StateNames => _roles;

    /// <summary>Two numbers on the device: steps taken and steps skipped.</summary>
    public DeviceTensor<ulong> StepCounts => _counts;

    /// <summary>For each parameter how many of its elements were exactly 0 after the last step; null unless asked for.</summary>
    public DeviceTensor<uint>? ZeroCounts => _zeros;

    private uint[] RuleRoles { get; }

    private long MeasuredTiles => _settings.MaximumGradientNorm > 0 || _settings.SkipsNonFiniteGradients ? _table.TileCount : 0;

    /// <summary>The options of a group.</summary>
    public TOptions GetOptions(int group) => Volatile.Read(ref _options[group]);

    /// <summary>
    /// Changes the options of a group from the next step on: a schedule's learning rate, for one. May be called from another thread than
    /// <see cref="Step"/>: a step that has begun may miss the change, the next does not.
    /// </summary>
    /// <exception cref="ArgumentException">They turn a maximum norm on or off, or ask for state that the optimizer was made
    /// without.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public void SetOptions(int group, TOptions options)
    {
        Check.NotNull(_op, options, nameof(options));
        CheckOptions(options);
        if (!HasStateFor([options]))
            throw new ArgumentException($"{_op}: {options} needs state that the optimizer was made without.", nameof(options));
        lock (_lock)
        {
            TOptions before = _options[group];
            if (options == before) return;
            if (options.MaximumNorm > 0 != before.MaximumNorm > 0)
            {
                throw new ArgumentException(
                    $"{_op}: a maximum norm is set when the optimizer is made; then it can change but not come or go.", nameof(options));
            }

            _options[group] = options;
            _version++;
        }
    }

    /// <summary>Queues one step of all parameters. Waits for nothing.</summary>
    /// <exception cref="ArgumentException">The stream belongs to another device.</exception>
    /// <exception cref="ObjectDisposedException">A parameter, a gradient, the optimizer or the stream was disposed.</exception>
    public void Step(DeviceStream stream)
    {
        _table.CheckStream(_op, stream);
        CheckDeviceNumber(stream.Device, _settings.DeviceLossScale, nameof(_settings.DeviceLossScale), 1);
        CheckDeviceNumber(stream.Device, _settings.DeviceLearningRates, nameof(_settings.DeviceLearningRates), _options.Length);
        using TensorTable<T>.Lease held = _table.Hold(_op, stream);
        UploadOptions(stream);
        long measuredTiles = MeasuredTiles;
        KernelVariant variant = new(DTypes.Of<T>());
        using ScratchPool.Lease<T> sums = RealBuffer<T>.RentScratch(stream, CpuSquares<double>.SumCount * measuredTiles);
        if (measuredTiles > 0)
        {
            foreach (TensorTable<T>.Run run in _table.Runs)
            {
                stream.Launch(
                    OptimizerKernels.Squares, variant, LaunchShape.GroupPerRow(run.TileCount),
                    new GradientSquaresArguments { Gradient = run.Second, TensorList = _table.ListOf(run), Sums = sums.Argument });
            }
        }

        if (measuredTiles > 0 || _zeros is not null || _settings.DeviceLossScale is not null)
        {
            stream.Launch(
                OptimizerKernels.Prepare, variant, LaunchShape.GroupPerRow(1),
                new OptimizerPrepareArguments
                {
                    Progress = _progress.Argument,
                    Sums = sums.Argument,
                    LossScales = _settings.DeviceLossScale?.Argument ?? default,
                    Zeros = _zeros?.Argument ?? default,
                    MeasuredTiles = (ulong)measuredTiles,
                    CountedTensors = (ulong)(_zeros?.Length ?? 0),
                    HasLossScale = _settings.DeviceLossScale is null ? 0u : 1,
                    SkipsFaults = _settings.SkipsNonFiniteGradients ? 1u : 0,
                    LossScale = _settings.LossScale,
                    MaximumNorm = _settings.MaximumGradientNorm,
                });
        }

        bool reduces = _zeros is not null || Array.Exists(_options, options => options.MaximumNorm > 0);
        KernelVariant passVariant = variant with { Switches = reduces ? OptimizerKernels.ReducesSwitch : 0 };
        ReadOnlySpan<TensorTable<T>.Run> runs = _table.Runs;
        // A step of nothing is counted too.
        for (int i = 0; i < Math.Max(1, runs.Length); i++)
        {
            TensorTable<T>.Run run = runs.IsEmpty ? default : runs[i];
            stream.Launch(
                _kernel, passVariant, LaunchShape.GroupPerRow(run.TileCount),
                new OptimizerStepArguments
                {
                    Parameter = run.First,
                    Gradient = run.Second,
                    State = _state.Argument,
                    TensorList = _table.ListOf(run),
                    Options = _groupOptions.Argument,
                    Progress = _progress.Argument,
                    Rates = _settings.DeviceLearningRates?.Argument ?? default,
                    Counts = _counts.Argument,
                    Finished = _finished.Argument,
                    Zeros = _zeros?.Argument ?? default,
                    RoleStride = (ulong)_table.FlatLength,
                    FirstRole = RuleRoles[0],
                    SecondRole = RuleRoles[1],
                    ThirdRole = RuleRoles[2],
                    Master = Role(OptimizerState.MasterCopy),
                    Average = Role(OptimizerState.AverageWeight),
                    CountsZeros = _zeros is null ? 0u : 1,
                    EndsStep = i >= runs.Length - 1 ? 1u : 0,
                });
        }
    }

    /// <summary>What <see cref="OptimizerState"/> shows, for callers that are generic over the stored type.</summary>
    /// <exception cref="ArgumentException"><typeparamref name="TReal"/> is not the arithmetic type of <typeparamref name="T"/>.</exception>
    internal DeviceTensor<TReal> GetStateAs<TReal>(string name, int parameter)
        where TReal : unmanaged
    {
        if (parameter < 0 || parameter >= _parameters.Count)
        {
            throw new ArgumentOutOfRangeException(
                nameof(parameter), parameter, $"{_op}.GetState: there are {_parameters.Count} parameters.");
        }

        int role = Array.IndexOf(_roles, name);
        if (role < 0)
        {
            throw new ArgumentException(
                $"{_op}: keeps {(_roles.Length == 0 ? "no state" : string.Join(", ", _roles))}, not {name}.", nameof(name));
        }
        return _state.View<TReal>((role * _table.FlatLength) + _table.FlatOffset(parameter), _parameters[parameter].Shape);
    }

    /// <summary>
    /// Queues setting the number of steps taken, so that training goes on from loaded state with the same bits; 0 forgets all state. Load
    /// the parameters, then the state, then resume: a parameter that is written restarts its average. State that is not loaded is 0, an
    /// average begins at the next step, and a master copy is the parameter.
    /// </summary>
    /// <exception cref="ArgumentException">The stream belongs to another device.</exception>
    public void Resume(DeviceStream stream, ulong steps)
    {
        _table.CheckStream(_op, stream);
        stream.Upload([steps, 0UL], _counts);
    }

    /// <summary>
    /// Queues forgetting all averages: each begins anew with its weight at the next step. Uploads, copies, fills and <see
    /// cref="ParameterSnapshot{T}.Restore"/> restart the averages of what they write by themselves; call this when a kernel or another
    /// library has replaced the parameters.
    /// </summary>
    /// <exception cref="InvalidOperationException">The optimizer keeps no averages.</exception>
    /// <exception cref="ArgumentException">The stream belongs to another device.</exception>
    public void RestartAverages(DeviceStream stream)
    {
        if (_settings.AverageDecay is null)
            throw new InvalidOperationException($"{_op}.RestartAverages: {nameof(_settings.AverageDecay)} is null.");
        _table.CheckStream(_op, stream);
        _state.Fill(stream, Role(OptimizerState.AverageWeight) * _table.FlatLength, _table.FlatLength, double.NaN);
    }

    /// <summary>
    /// The 2-norm of all gradients at the last step, loss scale taken off and before clipping. Blocks. 0 when no setting needs it.
    /// </summary>
    public double ReadGradientNorm(DeviceStream stream)
    {
        StepProgress<double> step = default;
        long place = Unsafe.ByteOffset(ref Unsafe.As<StepProgress<double>, double>(ref step), ref step.GradientNorm) / sizeof(double);
        return _progress.Read(stream, (int)place);
    }

    /// <summary>Frees the state. The parameters stay the caller's.</summary>
    public void Dispose()
    {
        _isDisposed = true;
        // Null where the constructor ran out of memory.
        _table?.Dispose();
        _state?.Dispose();
        _groupOptions?.Dispose();
        _progress?.Dispose();
        _counts?.Dispose();
        _finished?.Dispose();
        _zeros?.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>True when options can be used with the state that was allocated.</summary>
    private protected abstract bool HasStateFor(IReadOnlyList<TOptions> options);

    /// <summary>True when the rule keeps its state number <paramref name="index"/>.</summary>
    private protected bool Keeps(int index) => RuleRoles[index] != OptimizerKernels.NoRole;

    /// <summary>A row is the unit of a max-norm projection, so it must be one tile.</summary>
    private long TileLength(int parameter, uint[] groupOf)
    {
        DeviceTensor<T> tensor = _parameters[parameter];
        if (_options[groupOf[parameter]].MaximumNorm == 0 || tensor.Length == 0) return TensorTable<T>.TileLength;
        return tensor.Shape.Length < 2 ? tensor.Length : tensor.Length / tensor.Shape[0];
    }

    private uint Role(string name)
    {
        int role = Array.IndexOf(_roles, name);
        return role < 0 ? OptimizerKernels.NoRole : (uint)role;
    }

    /// <summary>How many numbers these structs are.</summary>
    private static long WordsOf<TStruct>(long count)
        where TStruct : unmanaged => count * Unsafe.SizeOf<TStruct>() / sizeof(double);

    private void CheckOptions(TOptions options)
    {
        options.Validate(_op);
        CheckInArithmetic(options.MaximumNorm, nameof(options.MaximumNorm));
    }

    /// <summary>A limit that float rounds to 0 would be none, and one that it rounds to infinity is not meant either.</summary>
    private void CheckInArithmetic(double value, string name)
    {
        if (typeof(T) != typeof(double) && value > 0 && (float)value is 0 or float.PositiveInfinity)
        {
            throw new ArgumentOutOfRangeException(
                name, value, $"{_op}: {name} is {(float)value} in float, in which {DTypes.Of<T>().ShortName()} is calculated.");
        }
    }

    /// <summary>
    /// Queues the upload of options that the device does not have. A graph uploads those of its capture, so beside it each step uploads its
    /// own.
    /// </summary>
    private void UploadOptions(DeviceStream stream)
    {
        GroupOptions<double>[] words;
        long version;
        lock (_lock)
        {
            _isInGraph |= stream.IsCaptured;
            if (_version == _uploadedVersion && !_isInGraph) return;
            (words, version) = ([.. _options.Select(Words)], _version);
        }

        _groupOptions.Upload(stream, MemoryMarshal.Cast<GroupOptions<double>, double>(words));
        if (stream.IsCaptured) return;
        lock (_lock) _uploadedVersion = Math.Max(_uploadedVersion, version);
    }

    private GroupOptions<double> Words(TOptions options)
    {
        double average = _settings.AverageDecay ?? 0;
        GroupOptions<double> words = new()
        {
            LearningRate = options.LearningRate,
            CoupledDecay = Decay(WeightDecayMode.Coupled),
            DecoupledDecay = Decay(WeightDecayMode.Decoupled),
            ProximalDecay = Decay(WeightDecayMode.Proximal),
            SubgradientL1 = options.L1Mode == L1Mode.Subgradient ? options.L1 : 0,
            ProximalL1 = options.L1Mode == L1Mode.Proximal ? options.L1 : 0,
            MaximumNorm = options.MaximumNorm,
            AverageDecay = average,
            AverageShare = 1 - average,
        };
        options.Write(ref words);
        return words;

        double Decay(WeightDecayMode mode) => options.WeightDecayMode == mode ? options.WeightDecay : 0;
    }

    /// <summary>
    /// Has averages begin anew when a stream is told to write to their parameters. The memory does not keep the optimizer alive.
    /// </summary>
    private void ListenToWrites()
    {
        WeakReference<Optimizer<T, TOptions>> self = new(this);
        foreach (DeviceMemory memory in _parameters.Select(parameter => parameter.Buffer.Memory).Distinct())
        {
            memory.Written += Restart;

            void Restart(DeviceStream stream, long first, long bytes)
            {
                if (self.TryGetTarget(out Optimizer<T, TOptions>? optimizer) && !optimizer._isDisposed)
                    optimizer.RestartAveragesOf(memory, first, bytes, stream);
                else
                    memory.Written -= Restart;
            }
        }
    }

    private void RestartAveragesOf(DeviceMemory memory, long first, long bytes, DeviceStream stream)
    {
        long averages = Role(OptimizerState.AverageWeight) * _table.FlatLength;
        for (int i = 0; i < _parameters.Count; i++)
        {
            DeviceTensor<T> parameter = _parameters[i];
            long start = parameter.Offset * Unsafe.SizeOf<T>(), end = start + (parameter.Length * Unsafe.SizeOf<T>());
            if (parameter.Buffer.Memory == memory && start < first + bytes && first < end)
                _state.Fill(stream, averages + _table.FlatOffset(i), parameter.Length, double.NaN);
        }
    }

    private void CheckDeviceNumber(Device device, DeviceTensor<float>? tensor, string name, long length)
    {
        if (tensor is null) return;
        if (tensor.Buffer.Memory.IsDisposed) throw new ObjectDisposedException(name, $"{_op}: {name} was disposed.");
        if (tensor.Device != device) throw new ArgumentException($"{_op}: {name} is on {tensor.Device}, expected {device}.", name);
        if (tensor.Length != length) throw new ArgumentException($"{_op}: {name} has {tensor.Length} elements, expected {length}.", name);
    }

    /// <summary>A step reads the number in every work item while it writes parameters.</summary>
    private void CheckNotUpdated(DeviceTensor<float>? tensor, string name)
    {
        if (tensor is not null && _parameters.FirstOrDefault(parameter => parameter.Overlaps(tensor)) is { } parameter)
            throw new ArgumentException($"{_op}: {name} and the parameter {parameter} overlap in memory.", name);
    }
}
