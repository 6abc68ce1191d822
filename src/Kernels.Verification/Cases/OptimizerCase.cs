using System.Text.Json.Serialization;
using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>
/// One step of an optimizer over a list of parameters. The list lies end to end in one buffer, so that its tensors have all alignments and
/// a write past one is seen in the next; state goes in and comes out in tensors of the same layout.
/// </summary>
public abstract class OptimizerCase<TOptions> : OpCase
    where TOptions : OptimizerOptions
{
    private static readonly long[][] Ragged = [[1], [7], [4096], [0], [33, 5], [4097], [3, 2, 4]];
    private static readonly long[][] Rows = [[33, 5], [5, 32], [17], [2, 4099], [0, 4]];

    /// <summary>The same without what crosses the end of a tile: for settings, which do not know of tiles.</summary>
    private static readonly long[][] Short = [[1], [7], [0], [33, 5], [259], [3, 2, 4]];
    private static readonly long[][] ShortRows = [[33, 5], [5, 32], [17], [0, 4]];

    private IReadOnlyList<Problem>? _problems;

    public sealed override IReadOnlyList<Problem> Problems => _problems ??= [.. Common(), .. Own()];

    public override IReadOnlyList<Problem> BenchProblems =>
    [
        Of("4 tensors of 4.2 M", Bench, Enumerable.Repeat<long[]>([1 << 22], 4)) with { RuleStates = RuleStates([Bench]).Count },
        Of("2,000 tensors of 4,096", Bench, Enumerable.Repeat<long[]>([4096], 2000)) with { RuleStates = RuleStates([Bench]).Count },
    ];

    public sealed override IReadOnlyList<BadInput> BadInputs =>
    [
        new("rate is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, Basic with { LearningRate = double.NaN })),
        new("rate below 0", typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, Basic with { LearningRate = -1 })),
        new("decay is infinite", typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, Basic with
        {
            WeightDecay = double.PositiveInfinity,
        })),
        new("unknown decay", typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, Basic with
        {
            WeightDecayMode = (WeightDecayMode)9,
        })),
        new("L1 below 0", typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, Basic with { L1 = -1 })),
        new("unknown L1", typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, Basic with { L1Mode = (L1Mode)9 })),
        new("maximum norm is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, Basic with
        {
            MaximumNorm = double.NaN,
        })),
        .. new (string Name, OptimizerSettings Settings)[]
        {
            ("a loss scale beyond float", new() { LossScale = 1e39 }),
            ("a loss scale whose inverse is beyond float", new() { LossScale = 1e-39 }),
            ("clipping below 0", new() { MaximumGradientNorm = -1 }),
            ("a clipping norm that float rounds to 0", new() { MaximumGradientNorm = 1e-50 }),
            ("average decay 1", new() { AverageDecay = 1 }),
        }.Select(bad => new BadInput(
            bad.Name, typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, Basic, bad.Settings))),
        .. ((double[])[0, -1, double.NaN, double.PositiveInfinity]).Select(scale => new BadInput(
            $"loss scale {scale}", typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, Basic, new() { LossScale = scale }))
        {
            Argument = "LossScale", Says = "finite and above 0",
        }),
        new("a maximum norm that float rounds to 0", typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, Basic with
        {
            MaximumNorm = 1e-50,
        })),
        new("averages that are not kept", typeof(InvalidOperationException), (device, stream) =>
        {
            using Optimizer<float, TOptions> optimizer = Create<float>(device, [], null);
            optimizer.RestartAverages(stream);
        }),
        new("gradient of a wrong shape", typeof(ArgumentException), (device, stream) => Try(device, Basic, gradientLength: 5)),
        new("fewer gradients than parameters", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> parameter = device.Allocate<float>(4);
            Create<float>(device, [new([parameter], [], Basic)], null).Dispose();
        }),
        new("parameters that overlap", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> parameter = device.Allocate<float>(4), gradient = device.Allocate<float>(8);
            Create<float>(device, [new([parameter, parameter.Slice(2, 2)], [gradient.Slice(0, 4), gradient.Slice(4, 2)], Basic)], null)
                .Dispose();
        }),
        new("a gradient that is its parameter", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> parameter = device.Allocate<float>(4);
            Create<float>(device, [new([parameter], [parameter], Basic)], null).Dispose();
        }),
        new("a stream of another device", typeof(ArgumentException), (device, stream) =>
        {
            using Device other = Device.Open("cpu");
            using DeviceStream otherStream = other.CreateStream();
            Try(device, Basic, stream: otherStream);
        }),
        new("a parameter that was disposed", typeof(ObjectDisposedException), (device, stream) =>
        {
            using DeviceTensor<float> parameter = device.Allocate<float>(4), gradient = device.Allocate<float>(4);
            using Optimizer<float, TOptions> optimizer = Create<float>(
                device, [new ParameterGroup<float, TOptions>([parameter], [gradient], Basic)], null);
            parameter.Dispose();
            optimizer.Step(stream);
        }),
        new("an optimizer that was disposed", typeof(ObjectDisposedException), (device, stream) =>
        {
            using DeviceTensor<float> parameter = device.Allocate<float>(4), gradient = device.Allocate<float>(4);
            Optimizer<float, TOptions> optimizer = Create<float>(
                device, [new ParameterGroup<float, TOptions>([parameter], [gradient], Basic)], null);
            optimizer.Dispose();
            optimizer.Step(stream);
        }),
        new("a maximum norm that comes later", typeof(ArgumentException), (device, stream) =>
        {
            using Optimizer<float, TOptions> optimizer = Create<float>(device, [new([], [], Basic)], null);
            optimizer.SetOptions(0, Basic with { MaximumNorm = 1 });
        }),
        new("no such state", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> parameter = device.Allocate<float>(4), gradient = device.Allocate<float>(4);
            using Optimizer<float, TOptions> optimizer = Create<float>(
                device, [new ParameterGroup<float, TOptions>([parameter], [gradient], Basic)], null);
            optimizer.GetState("memory", 0);
        })
        {
            Argument = "name",
        },
        .. ((int[])[-1, 1]).Select(place => new BadInput(
            $"no parameter {place}", typeof(ArgumentOutOfRangeException), (device, stream) =>
            {
                using DeviceTensor<float> parameter = device.Allocate<float>(4), gradient = device.Allocate<float>(4);
                using Optimizer<float, TOptions> optimizer = Create<float>(
                    device, [new ParameterGroup<float, TOptions>([parameter], [gradient], Basic)], new() { AverageDecay = 0.5 });
                optimizer.GetState(OptimizerState.AverageWeight, place);
            })
        {
            Argument = "parameter",
        }),
        .. OwnBadInputs().Select(bad => new BadInput(bad.Name, bad.Exception, (device, stream) => Try(device, bad.Options))),
    ];

    /// <summary>The op's usual settings, without decay and penalties.</summary>
    protected abstract TOptions Basic { get; }

    /// <summary>The problems that are timed.</summary>
    protected virtual TOptions Bench => Basic;

    /// <summary>A second moment is a square in float, which overflows rightly.</summary>
    public sealed override double LargestInput(DType dtype) =>
        dtype == DType.Float16 || !KeepsSquares ? base.LargestInput(dtype) : Math.Sqrt(base.LargestInput(dtype)) / (1 << 10);

    public sealed override bool IsStateOrSetting(string input) => input is not ("parameters" or "gradients");

    public sealed override ArgumentUse UseOf(Problem problem, string tensor) => tensor switch
    {
        "parameters" or "gradients" => ArgumentUse.Required,
        "rates" or "loss_scale" => ArgumentUse.Optional,
        _ => ArgumentUse.None,
    };

    public sealed override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        OptimizerProblem<TOptions> p = (OptimizerProblem<TOptions>)problem;
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        Tolerance stored = new(1, 8, 4, "terms below 4 that may cancel, quotients of averages");
        Tolerance projected = stored with { Roundings = 3, Cause = "a row is measured and scaled in its stored type" };
        Tolerance kept = stored with { Roundings = 0 };
        bool projects = p.Groups.Any(group => group.Options.MaximumNorm > 0);
        double large = 2 * (p.IsLarge ? Large(dtype) : 1);
        TensorSpec parameters = Input("parameters", dtype, [p.Length], seed, -large, large),
            gradients = Input("gradients", dtype, [p.Length], seed, -large, large);
        if (p.HasFault) gradients.Values[^1] = double.PositiveInfinity;
        if (p.HasInfiniteWeights) (parameters.Values[1], parameters.Values[^2]) = (double.PositiveInfinity, double.NegativeInfinity);
        List<TensorSpec> specs =
        [
            parameters with { Role = TensorRole.InOut, Tolerance = projects ? projected : stored },
            gradients,
            .. States(p, dtype).Select(name =>
            {
                (double low, double high) = Range(name);
                return p.StepsBefore == 0
                    ? Output(name, real, [p.Length], kept)
                    : Input(name, real, [p.Length], seed, low, high) with { Role = TensorRole.InOut, Tolerance = kept };
            }),
            Output("counts", DType.UInt64, [2], Tolerance.Exact),
        ];

        // Parameters are what their copies round to, all but every fifth, which someone else wrote.
        double[] masters = specs.Find(spec => spec.Name == OptimizerState.MasterCopy)?.Values ?? [];
        for (int i = 0; i < masters.Length; i++)
        {
            if (i % 5 != 4) parameters.Values[i] = Elements.Round(dtype, masters[i]);
        }

        if (p.Settings.CountsZeros) specs.Add(Output("zeros", DType.UInt32, [p.TensorCount], Tolerance.Exact));
        if (p.DeviceNumbers)
        {
            specs.Add(Input("rates", DType.Float32, [p.Groups.Count], seed, 0.01, 0.1));
            specs.Add(Input("loss_scale", DType.Float32, [1], seed, 2, 8));
        }

        return specs;
    }

    public sealed override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        OptimizerProblem<TOptions> p = (OptimizerProblem<TOptions>)problem;
        List<IDisposable> owned = [];
        try
        {
            using Optimizer<T, TOptions> optimizer = Open(
                stream, p, tensors, owned, out IReadOnlyList<(DeviceTensor<T> Listed, DeviceTensor<T> Own)> copies);
            if (typeof(T) == typeof(double))
                CopyState<T, double>(stream, p, optimizer, tensors, load: true);
            else
                CopyState<T, float>(stream, p, optimizer, tensors, load: true);
            optimizer.Resume(stream, p.StepsBefore);
            optimizer.Step(stream);
            foreach ((DeviceTensor<T> listed, DeviceTensor<T> own) in copies) stream.Copy(own, listed);
            if (typeof(T) == typeof(double))
                CopyState<T, double>(stream, p, optimizer, tensors, load: false);
            else
                CopyState<T, float>(stream, p, optimizer, tensors, load: false);
            stream.Copy(optimizer.StepCounts, tensors.Get<ulong>("counts"));
            if (optimizer.ZeroCounts is { } zeros) stream.Copy(zeros, tensors.Get<uint>("zeros"));
        }
        finally
        {
            foreach (IDisposable resource in owned) resource.Dispose();
        }
    }

    public sealed override PreparedCall Prepare<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        OptimizerProblem<TOptions> p = (OptimizerProblem<TOptions>)problem;
        List<IDisposable> owned = [];
        // The values do not change the time, and steps without end must not run into infinity.
        OptimizerProblem<TOptions> slow =
            p with { Groups = [.. p.Groups.Select(group => group with { Options = group.Options with { LearningRate = 1e-6 } })] };
        Optimizer<T, TOptions> optimizer = Open<T>(stream, slow, tensors, owned, out _);
        owned.Insert(0, optimizer);
        return new PreparedCall(() => optimizer.Step(stream), owned);
    }

    public sealed override void Reference(Problem problem, ReferenceValues values)
    {
        OptimizerProblem<TOptions> p = (OptimizerProblem<TOptions>)problem;
        double[] weights = values["parameters"], gradients = values["gradients"];
        double lossScale = p.DeviceNumbers ? values["loss_scale"][0] : p.Settings.LossScale;
        bool skips = p.Settings.SkipsNonFiniteGradients && !gradients.All(double.IsFinite);
        values["counts"][0] = p.StepsBefore + (skips ? 0UL : 1);
        values["counts"][1] = skips ? 1 : 0;
        if (skips) return;
        double factor = OptimizerReference.GradientFactor(OptimizerReference.Norm(gradients), lossScale, p.Settings.MaximumGradientNorm);
        double[]? master = values.Has(OptimizerState.MasterCopy) ? values[OptimizerState.MasterCopy] : null;
        for (int i = 0; i < master?.Length; i++)
        {
            if (p.StepsBefore == 0 || Elements.Round(values.DType("parameters"), master[i]) != weights[i]) master[i] = weights[i];
        }

        double[] current = master ?? weights;
        Func<double, double> round = master is null && values.DType("parameters") is var stored ? value =>
            Elements.Round(stored, value) : value => value;
        foreach ((int group, int tensor, long[] shape, int start) in p.Layout())
        {
            int length = (int)Count(shape);
            TOptions o = p.Groups[group].Options;
            OptimizerTerms terms = new(
                p.DeviceNumbers ? values["rates"][group] : o.LearningRate,
                o.WeightDecayMode == WeightDecayMode.Coupled ? o.WeightDecay : 0, o.WeightDecayMode == WeightDecayMode.Decoupled
                    ? o.WeightDecay : 0,
                o.WeightDecayMode == WeightDecayMode.Proximal ? o.WeightDecay : 0, o.L1Mode == L1Mode.Subgradient ? o.L1 : 0,
                o.L1Mode == L1Mode.Proximal ? o.L1 : 0, o.MaximumNorm);
            OptimizerReference.Step(
                current.AsSpan(start, length), gradients.AsSpan(start, length), factor, terms, shape.Length < 2
                    ? length : (int)(length / Math.Max(1, shape[0])),
                (i, gradient) => Direction(o, p.StepsBefore + 1, gradient, name => values[name], start + i), round);
            if (values.Has("zeros"))
            {
                values["zeros"][tensor] = current.AsSpan(start, length).ToArray()
                    .Count(w => Elements.Round(values.DType("parameters"), w) == 0);
            }
        }

        if (master is not null) master.CopyTo(weights, 0);
        if (!values.Has(OptimizerState.AverageWeight)) return;
        double[] average = values[OptimizerState.AverageWeight];
        double decay = p.Settings.AverageDecay!.Value;
        for (int i = 0; i < average.Length; i++)
            average[i] = p.StepsBefore == 0 ? current[i] : OptimizerReference.Average(average[i], current[i], decay);
    }

    /// <summary>True when the rule keeps squares of gradients.</summary>
    protected virtual bool KeepsSquares => false;

    /// <summary>Makes the optimizer.</summary>
    protected abstract Optimizer<T, TOptions> Create<T>(
        Device device, IReadOnlyList<ParameterGroup<T, TOptions>> groups, OptimizerSettings? settings)
        where T : unmanaged;

    /// <summary>The rule by the reference: the direction at a step, with the state of one element updated.</summary>
    protected abstract double Direction(TOptions options, ulong step, double gradient, Func<string, double[]> state, int index);

    /// <summary>State the rule keeps for these settings.</summary>
    protected abstract IReadOnlyList<string> RuleStates(IEnumerable<TOptions> options);

    /// <summary>Problems of the rule's own settings.</summary>
    protected abstract IEnumerable<Problem> Own();

    /// <summary>The rule's own settings that must be refused.</summary>
    protected abstract IEnumerable<(string Name, Type Exception, TOptions Options)> OwnBadInputs();

    /// <summary>A problem of one group, in the middle of training.</summary>
    protected static OptimizerProblem<TOptions> Of(string reason, TOptions options, params IEnumerable<long[]> shapes) =>
        new(reason, [new OptimizerShapes<TOptions>([.. shapes], options)]) { StepsBefore = 3 };

    /// <summary>Far above the root of the largest number in arithmetic; half types that are stored do not get there.</summary>
    private static double Large(DType dtype) => dtype switch { DType.Float64 => 1e300, DType.Float16 => 1e4, _ => 1e30 };

    private static (double Low, double High) Range(string state) => state switch
    {
        OptimizerState.SecondMoment => (0.5, 2),
        OptimizerState.LargestSecondMoment => (0.5, 3),
        OptimizerState.MeanGradient => (-0.5, 0.5),
        _ => (-2, 2),
    };

    private IEnumerable<Problem> Common()
    {
        TOptions basic = Basic;
        yield return new OptimizerProblem<TOptions>("no groups", []);
        yield return Of("an empty list", basic);
        yield return Of("tensors without elements", basic, [0], [3, 0]);
        yield return Of("one element", basic, [[1]]);
        yield return Of("first step: state is not read", basic, Ragged) with { StepsBefore = 0 };
        yield return Of("lengths of all kinds, end to end", basic, Ragged);
        yield return Of("whole vectors and several tiles", basic, [8200], [16], [4096], [72, 8]);
        yield return Of("a buffer for each tensor", basic, Short) with { OwnBuffers = true };
        yield return Of("many tensors, one element each", basic, Enumerable.Repeat<long[]>([1], 700));
        yield return Of("coupled decay", basic with { WeightDecay = 0.1, WeightDecayMode = WeightDecayMode.Coupled }, Short);
        yield return Of("decoupled decay", basic with { WeightDecay = 0.1, WeightDecayMode = WeightDecayMode.Decoupled }, Short);
        yield return Of("proximal decay", basic with { WeightDecay = 0.1, WeightDecayMode = WeightDecayMode.Proximal }, Short);
        yield return Of("L1 by subgradient, of infinite weights too", basic with { L1 = 0.3, L1Mode = L1Mode.Subgradient }, Short) with
        {
            HasInfiniteWeights = true,
        };
        yield return Of("proximal L1, zeros counted", basic with { L1 = 8 }, Short) with
        {
            Settings = new OptimizerSettings
            {
                CountsZeros = true
            },
        };
        yield return Of("elastic net by proximal steps", basic with { L1 = 4, WeightDecay = 2, WeightDecayMode = WeightDecayMode.Proximal },
            Short);
        yield return Of("maximum norm", basic with { MaximumNorm = 3 }, Rows);
        yield return Of("maximum norm that no row has", basic with { MaximumNorm = 1e6 }, ShortRows);
        yield return Of("maximum norm with master copy and average", basic with { MaximumNorm = 3 }, ShortRows) with
        {
            Settings = new OptimizerSettings { KeepsMasterCopy = true, AverageDecay = 0.9 },
        };
        yield return Of("clipped by the norm of all gradients", basic, Ragged) with
        {
            Settings = new OptimizerSettings
            {
                MaximumGradientNorm = 2
            },
        };
        yield return Of("a clipping norm that is not reached", basic, Short) with
        {
            Settings = new OptimizerSettings
            {
                MaximumGradientNorm = 1e9
            },
        };
        yield return Of("rows and gradients whose squares overflow", basic with { MaximumNorm = 3 }, ShortRows) with
        {
            Settings = new OptimizerSettings { MaximumGradientNorm = 2, LossScale = 16 },
            IsLarge = true,
        };
        yield return Of("loss scale", basic, Short) with { Settings = new OptimizerSettings { LossScale = 16 } };
        yield return Of("an infinite gradient skips the step", basic, Short) with
        {
            Settings = new OptimizerSettings { SkipsNonFiniteGradients = true },
            HasFault = true,
        };
        yield return Of("finite gradients do not", basic, Short) with
        {
            Settings = new OptimizerSettings { SkipsNonFiniteGradients = true, MaximumGradientNorm = 2, LossScale = 4 },
        };
        yield return Of("master copy of half types", basic, Short) with { Settings = new OptimizerSettings { KeepsMasterCopy = true } };
        yield return Of("master copy, first step", basic, Short) with
        {
            Settings = new OptimizerSettings
            {
                KeepsMasterCopy = true
            },
            StepsBefore = 0,
        };
        yield return Of("moving average of the weights", basic, Short) with { Settings = new OptimizerSettings { AverageDecay = 0.9 } };
        yield return Of("moving average, first step", basic, Short) with
        {
            Settings = new OptimizerSettings
            {
                AverageDecay = 0.9
            },
            StepsBefore = 0,
        };
        yield return Of("a late step", basic, [[1021]]) with { StepsBefore = 100_000 };
        OptimizerShapes<TOptions>[] groups =
        [
            new([[5, 32], [17]], basic with { WeightDecay = 0.1, L1 = 0.5, MaximumNorm = 4 }),
            new([], basic),
            new([[4100], [3]], basic with { LearningRate = basic.LearningRate / 2 }),
        ];
        yield return new OptimizerProblem<TOptions>("groups of different settings", groups)
        {
            StepsBefore = 3,
            Settings = new OptimizerSettings { CountsZeros = true, AverageDecay = 0.99, MaximumGradientNorm = 20, KeepsMasterCopy = true },
        };
        yield return new OptimizerProblem<TOptions>("rates and loss scale on the device", groups) { StepsBefore = 3, DeviceNumbers = true };
    }

    private IReadOnlyList<string> States(OptimizerProblem<TOptions> problem, DType dtype) =>
    [
        .. RuleStates(problem.Groups.Select(group => group.Options)),
        .. problem.Settings.KeepsMasterCopy && dtype.SizeInBytes() == 2 ? [OptimizerState.MasterCopy] : Array.Empty<string>(),
        .. problem.Settings.AverageDecay is null ? Array.Empty<string>() : [OptimizerState.AverageWeight],
    ];

    private Optimizer<T, TOptions> Open<T>(
        DeviceStream stream, OptimizerProblem<TOptions> problem, DeviceTensors tensors, List<IDisposable> owned,
        out IReadOnlyList<(DeviceTensor<T> Listed, DeviceTensor<T> Own)> copies)
        where T : unmanaged
    {
        List<(DeviceTensor<T> Listed, DeviceTensor<T> Own)> parameters = [];
        List<DeviceTensor<T>>[] gradientsOf = [.. problem.Groups.Select(_ => new List<DeviceTensor<T>>())];
        List<DeviceTensor<T>>[] parametersOf = [.. problem.Groups.Select(_ => new List<DeviceTensor<T>>())];
        foreach ((int group, _, long[] shape, int start) in problem.Layout())
        {
            DeviceTensor<T> parameter = TensorLists.Slice(tensors.Get<T>("parameters"), start, shape);
            DeviceTensor<T> gradient = TensorLists.Slice(tensors.Get<T>("gradients"), start, shape);
            if (problem.OwnBuffers)
            {
                DeviceTensor<T> ownParameter = Clone(parameter), ownGradient = Clone(gradient);
                parameters.Add((parameter, ownParameter));
                (parameter, gradient) = (ownParameter, ownGradient);
            }

            parametersOf[group].Add(parameter);
            gradientsOf[group].Add(gradient);
        }

        copies = parameters;
        OptimizerSettings settings = !problem.DeviceNumbers ? problem.Settings : problem.Settings with
        {
            DeviceLearningRates = tensors.Get<float>("rates"),
            DeviceLossScale = tensors.Get<float>("loss_scale"),
        };
        return Create<T>(
            stream.Device,
            [.. problem.Groups.Select((group, i) => new ParameterGroup<T, TOptions>(parametersOf[i], gradientsOf[i], group.Options))],
                settings);

        DeviceTensor<T> Clone(DeviceTensor<T> tensor)
        {
            DeviceTensor<T> clone = stream.Device.Allocate<T>(tensor.Shape);
            owned.Add(clone);
            stream.Copy(tensor, clone);
            return clone;
        }
    }

    private void CopyState<T, TReal>(
        DeviceStream stream, OptimizerProblem<TOptions> problem, Optimizer<T, TOptions> optimizer, DeviceTensors tensors, bool load)
        where T : unmanaged
        where TReal : unmanaged
    {
        foreach (string name in optimizer.StateNames)
        {
            foreach ((_, int tensor, long[] shape, int start) in problem.Layout())
            {
                DeviceTensor<TReal> outside = tensors.Get<TReal>(name).Slice(start, Count(shape)),
                    inside = optimizer.GetStateAs<TReal>(name, tensor);
                stream.Copy(load ? outside : inside, load ? inside : outside);
            }
        }
    }

    private void Try(
        Device device, TOptions options, OptimizerSettings? settings = null, long gradientLength = 4, DeviceStream? stream = null)
    {
        using DeviceTensor<float> parameter = device.Allocate<float>(4), gradient = device.Allocate<float>(gradientLength);
        using Optimizer<float, TOptions> optimizer = Create<float>(
            device, [new ParameterGroup<float, TOptions>([parameter], [gradient], options)], settings);
        if (stream is not null) optimizer.Step(stream);
    }
}

/// <summary>Shapes of a group's parameters and their settings.</summary>
public sealed record OptimizerShapes<TOptions>(IReadOnlyList<long[]> Shapes, TOptions Options);

/// <summary>One step over groups of parameters.</summary>
public sealed record OptimizerProblem<TOptions>(string Reason, IReadOnlyList<OptimizerShapes<TOptions>> Groups) : Problem("step", Reason)
    where TOptions : OptimizerOptions
{
    [JsonIgnore]
    public OptimizerSettings Settings { get; init; } = new();

    /// <summary>No clipping, no copies, no averages: what every framework's optimizer does.</summary>
    public bool IsPlain => Settings == new OptimizerSettings();

    /// <summary>Steps taken before this one; with 0 there is no state yet.</summary>
    public ulong StepsBefore { get; init; }

    /// <summary>The last gradient is infinite.</summary>
    public bool HasFault { get; init; }

    /// <summary>The second weight is infinite, and so is the last but one, with the other sign.</summary>
    public bool HasInfiniteWeights { get; init; }

    /// <summary>Parameters and gradients are so large that their squares overflow.</summary>
    public bool IsLarge { get; init; }

    /// <summary>Learning rates and loss scale are read on the device.</summary>
    public bool DeviceNumbers { get; init; }

    /// <summary>Each tensor has a buffer of its own.</summary>
    public bool OwnBuffers { get; init; }

    public long Length => Groups.Sum(group => group.Shapes.Sum(Count));

    public int TensorCount => Groups.Sum(group => group.Shapes.Count);

    /// <summary>State kept for each element by the rule, in numbers.</summary>
    public int RuleStates { get; init; }

    public override string Text
    {
        get
        {
            long[] lengths = [.. Groups.SelectMany(group => group.Shapes).Select(Count).Distinct()];
            string sizes = lengths is [long only] ? $"{TensorCount}x{only}" : $"{TensorCount} tensors, {Length}";
            return Groups is [{ Options: { } options }]
                ? $"{sizes}{(options.WeightDecay > 0 ? $" {options.WeightDecayMode.ToString().ToLowerInvariant()} decay" : "")}" : sizes;
        }
    }

    /// <summary>Weights and state are read and written, gradients read.</summary>
    public override long Bytes(int elementBytes) => Length * ((3 * elementBytes) + (2 * RuleStates * (elementBytes == 8 ? 8 : 4)));

    /// <summary>Each tensor: its group, its place in the list, its shape and where it begins.</summary>
    public IEnumerable<(int Group, int Tensor, long[] Shape, int Start)> Layout()
    {
        (int tensor, int start) = (0, 0);
        for (int group = 0; group < Groups.Count; group++)
        {
            foreach (long[] shape in Groups[group].Shapes)
            {
                yield return (group, tensor++, shape, start);
                start += (int)Count(shape);
            }
        }
    }

    private static long Count(long[] shape) => shape.Aggregate(1L, (product, dimension) => product * dimension);
}
