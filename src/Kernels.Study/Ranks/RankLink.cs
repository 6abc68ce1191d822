using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace Kernels.Study;

/// <summary>
/// This rank's way to the others. All its calls go through one stream in the order in which they are asked for; those that nobody waits for
/// yet run on a thread of their own while the caller goes on.
/// </summary>
/// <remarks>
/// A transport through host memory blocks who calls it, and the stream of a CPU is its caller: without the thread nothing would overlap.
/// </remarks>
internal sealed class RankLink : IDisposable
{
    private readonly DeviceStream _stream;
    private readonly Queue<(DeviceEvent Before, Action<DeviceStream> Call)> _posted = new();
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _work = new(0);
    private readonly ManualResetEventSlim _idle = new(initialState: true);
    private readonly Thread _thread;
    private ExceptionDispatchInfo? _failure;
    private bool _isDisposed;

    public RankLink(ICollective collective, Device device, int shards)
    {
        Collective = collective;
        Plan = new ShardPlan(shards, collective.RankCount, collective.Rank);
        _stream = device.CreateStream();
        _thread = new Thread(Work) { IsBackground = true, Name = $"rank {collective.Rank} calls" };
        _thread.Start();
    }

    public ICollective Collective { get; }

    public ShardPlan Plan { get; }

    public bool IsRoot => Plan.Rank == 0;

    /// <summary>Time that the caller has spent in calls, or waiting for posted ones: what did not overlap.</summary>
    public TimeSpan Waited { get; private set; }

    /// <summary>
    /// Makes a call once the work that <paramref name="stream"/> has queued so far is done, and returns at once. <see cref="Join"/> says
    /// when it is done.
    /// </summary>
    public void Post(DeviceStream stream, Action<DeviceStream> call)
    {
        ThrowIfFailed();
        lock (_lock)
        {
            _idle.Reset();
            _posted.Enqueue((stream.Record(), call));
        }

        _work.Release();
    }

    /// <summary>Work of <paramref name="stream"/> from here on waits for all calls so far.</summary>
    public void Join(DeviceStream stream)
    {
        long start = Stopwatch.GetTimestamp();
        WaitForPosted();
        using DeviceEvent done = _stream.Record();
        stream.WaitFor(done);
        Waited += Stopwatch.GetElapsedTime(start);
    }

    /// <summary>Makes a call between earlier and later work of <paramref name="stream"/>.</summary>
    public void Call(DeviceStream stream, Action<DeviceStream> call)
    {
        long start = Stopwatch.GetTimestamp();
        WaitForPosted();
        using (DeviceEvent before = stream.Record()) _stream.WaitFor(before);
        call(_stream);
        using DeviceEvent done = _stream.Record();
        stream.WaitFor(done);
        Waited += Stopwatch.GetElapsedTime(start);
    }

    public void Dispose()
    {
        _isDisposed = true;
        _work.Release();
        _thread.Join();
        _stream.Dispose();
        _work.Dispose();
        _idle.Dispose();
    }

    private void WaitForPosted()
    {
        _idle.Wait();
        ThrowIfFailed();
    }

    private void ThrowIfFailed() => Volatile.Read(ref _failure)?.Throw();

    private void Work()
    {
        while (true)
        {
            _work.Wait();
            if (_isDisposed) return;
            (DeviceEvent before, Action<DeviceStream> call) = Next();
            try
            {
                // After a failure the order of calls is lost: nothing more is said.
                if (_failure is null)
                {
                    _stream.WaitFor(before);
                    call(_stream);
                }
            }
            catch (Exception e)
            {
                Volatile.Write(ref _failure, ExceptionDispatchInfo.Capture(e));
            }
            finally
            {
                before.Dispose();
                Finish();
            }
        }
    }

    private (DeviceEvent Before, Action<DeviceStream> Call) Next()
    {
        lock (_lock) return _posted.Peek();
    }

    private void Finish()
    {
        lock (_lock)
        {
            _posted.Dequeue();
            if (_posted.Count == 0) _idle.Set();
        }
    }
}

/// <summary>Records of a few numbers that each shard has, those of this rank's shards and, once they were gathered, those of all.</summary>
internal sealed class ShardRecords : IDisposable
{
    private readonly DeviceTensor<float> _own;
    private readonly DeviceTensor<float> _all;

    /// <summary>Of the shape [rows, columns] for each shard.</summary>
    public ShardRecords(ShardSetup setup, long rows, long columns)
    {
        _all = setup.Device.Allocate<float>(setup.Plan.Shards, rows, columns);
        _own = setup.Device.Allocate<float>(setup.Plan.Count, rows, columns);
    }

    /// <summary>The record of a shard of this rank.</summary>
    public DeviceTensor<float> Own(int index) => _own.Slice(index, 1).Reshape(_own.Shape[1..]);

    /// <summary>Those of all shards in their order: [shards, rows, columns].</summary>
    public DeviceTensor<float> Gather(DeviceStream stream, RankLink link, string purpose)
    {
        link.Call(stream, call => link.Collective.AllGather(call, _own, _all, purpose));
        return _all;
    }

    public void Dispose()
    {
        _own.Dispose();
        _all.Dispose();
    }
}
